import signal
import socket
import threading
from typing import Any

import pytest

from tellapart.distribute.cluster_watch import ClusterGoneError, answers, cluster_watched


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN], ids=["usual", "ignored"])
def test_a_cluster_that_is_gone_ends_what_waits_for_it(handler: Any) -> None:
    earlier = signal.signal(signal.SIGINT, handler)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        threading.Timer(0.1, head.close).start()
        with pytest.raises(ClusterGoneError, match=address), cluster_watched(address, 0.05):
            threading.Event().wait(300)
        assert signal.signal(signal.SIGINT, earlier) is handler


def test_a_stop_by_the_user_stays_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        with pytest.raises(KeyboardInterrupt), cluster_watched(address, 0.05):
            signal.raise_signal(signal.SIGINT)


def test_what_is_done_in_time_is_not_disturbed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        with cluster_watched(address, 0.01):
            num_threads = threading.active_count()
        assert answers(address, 5.0) is None
        assert threading.active_count() < num_threads


def test_another_thread_is_not_watched() -> None:
    done = threading.Event()

    def work() -> None:
        with cluster_watched("127.0.0.1:1", 0.0):
            done.set()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done.is_set()
