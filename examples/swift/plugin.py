"""For ``--external_plugins``: registers the rewards overton, overton_coverage and overton_uniqueness.

Put your own rewards here too; their folder comes onto Python's path. A reward with settings of its own:

    import swift.rewards

    class Short(overton.integrations.swift.Overton):
        def __init__(self, args=None, **kwargs):
            super().__init__(args, overrides={"max_words": 200}, **kwargs)

    swift.rewards.orms["short"] = Short
"""

import overton.integrations.swift  # noqa: F401
