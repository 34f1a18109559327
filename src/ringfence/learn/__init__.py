"""Who needs whom: the dependency map, its first draft from manifests, and policies that say it."""
