"""HLS playlists (RFC 8216bis), parsed into listings."""
