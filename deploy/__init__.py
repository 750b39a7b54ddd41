"""Tools: publish the page on AWS, check a deployment, run everything under `sam local`. Never deployed."""
