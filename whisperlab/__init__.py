"""Which Whisper configuration should I run, how sure is that, and how do I serve exactly that?

Importing this package loads neither torch nor gradio nor hydra.
"""

__version__ = "0.1.0"
