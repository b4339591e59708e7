"""Whether a trail is what its producers wrote: chains, signatures, bookmarks, and the verifier's test of itself."""
