"""The slow judge: each specification transcribed literally, one connection at a time."""
