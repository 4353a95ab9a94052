"""Everything that learns.

Keras takes its backend when it is first imported, so that choice stands before any module here.
"""

from tellapart.learn import backend as backend
