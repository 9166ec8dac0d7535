"""What Reproof is installed with: pinned with hashes, looked at as it comes, held against known vulnerabilities."""
