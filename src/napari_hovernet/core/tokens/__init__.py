"""Token decoders: cached features, decoding, and the backbone that makes features."""
