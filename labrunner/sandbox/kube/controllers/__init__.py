"""What acts on objects by itself: one controller per module, run by `runner`, seeing the world through `Api`."""

from labrunner.sandbox.kube.controllers.catalogue import all_controllers
from labrunner.sandbox.kube.controllers.settings import ControllerSettings, MeshSettings

__all__ = ["ControllerSettings", "MeshSettings", "all_controllers"]
