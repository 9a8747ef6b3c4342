"""From YAML to live objects: compose, check, build.

The only room that knows Hydra and OmegaConf. Everything it builds is plain Python below it. The
package itself imports nothing: ``--help`` needs ``command`` alone, building needs ``build``.
"""
