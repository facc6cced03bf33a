"""The readings of this machine: one subject a file, each a function of a root folder, so that hardware is a folder."""

from device.system_monitor.monitor import SystemMonitor

__all__ = ["SystemMonitor"]
