"""AG-UI at the gateway: its run input begins a task or answers its questions, and a task's events go out as a run's."""
