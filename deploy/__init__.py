"""What puts Tailrace on AWS, checks it there, and runs it under `sam local`; never deployed itself."""
