"""The command `python -m whisperlab.conformance`: does a server speak OpenAI's audio API?"""
