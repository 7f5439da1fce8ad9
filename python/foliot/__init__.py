"""x"""
from foliot._errors import *
from foliot._config import *
from foliot import _core
from foliot._component import *
from foliot._core import World, VirtualClock, Context, Commands, FrameResult
from foliot._include import get_include
from foliot._native import numba_signature
from foliot._system import system, native, Query, System
from foliot._schedule import Schedule, Phase
from foliot._plan import *
from foliot._scheduler import *
from foliot._frame import *
