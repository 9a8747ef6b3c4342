"""Who may call: a file of key digests, the ring that recognises keys, a command that keeps the file."""

from whisperlab.serve.keys.ring import Caller, KeyRing

__all__ = ["Caller", "KeyRing"]
