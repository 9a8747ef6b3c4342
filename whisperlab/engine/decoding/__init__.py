"""How Whisper's probabilities become text: the rules that all engines of ours share.

Owns suppression, timestamp rules, greedy, sampled and beam choice, fallback, language detection,
prompts, the sequential long form and the flow of many sounds through one batch, in numpy; transformers' ``generate`` is the reference. It knows
a network by the protocol in ``network.py`` alone, and neither audio files nor settings.
"""
