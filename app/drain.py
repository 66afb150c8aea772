"""The word that this process is about to stop: nobody takes it back."""


class DrainSwitch:
    def __init__(self) -> None:
        self.draining = False

    def begin(self) -> None:
        """From now on the process is not ready and refuses new work."""
        self.draining = True
