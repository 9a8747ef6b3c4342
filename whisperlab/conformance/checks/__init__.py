"""The rules, a module a topic; every public function is one (``whisperlab.conformance.check``)."""
