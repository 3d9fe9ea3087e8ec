"""The report of a profile: metrics, leaderboard, a self-contained HTML page and a picture."""
