"""Tools: check the account, publish the page, check a deployment, take it away. Never deployed."""
