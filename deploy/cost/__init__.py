"""What runs cost on AWS: `python -m deploy.cost`."""
