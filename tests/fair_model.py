"""The rules of the fair queue in exact fractions, for tests to compare the core with.

With ``unit=None`` nothing is rounded. With a unit, numbers are cut down to multiples of it at the
points where the core cuts: then every answer must be equal to the core's.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor

UNIT = Fraction(1, 2**20)


@dataclass
class Runnable:
    """One that has joined; times are virtual, for weight 1."""

    weight: int
    request: int
    v: Fraction = Fraction(0)
    vd: Fraction = Fraction(0)
    start: Fraction = Fraction(0)  # textbook: of the request; else v
    carry: Fraction = Fraction(0)
    lag: Fraction = Fraction(0)  # while asleep
    state: str = "queued"  # delayed, running, asleep
    switched: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))


class FairModel:
    """The fair queue for one processor."""

    def __init__(self, slice_, *, tick=0, textbook=False, unit=UNIT):
        self.slice = slice_
        self.tick = tick
        self.textbook = textbook
        self.unit = unit
        self.known = {}
        self.last = Fraction(0)  # V when nobody is counted
        self.largest = slice_
        self.current = None

    def cut(self, value):
        return value if self.unit is None else floor(value / self.unit) * self.unit

    # What is known of all of them.

    def counted(self):
        return [one for one in self.known.values() if one.state != "asleep"]

    def weight(self):
        return sum(one.weight for one in self.counted())

    def average(self):
        weight = self.weight()
        if weight == 0:
            return self.last
        return Fraction(sum(one.weight * one.v for one in self.counted()), weight)

    def order(self, name):
        one = self.known[name]
        return (one.vd, -one.start if self.textbook else 0, name)

    def waiting(self):
        return [name for name, one in self.known.items() if one.state in ("queued", "delayed")]

    def eligible(self):
        average = self.average()
        return [name for name in self.waiting() if self.known[name].start <= average]

    def is_in(self, name):
        return name in self.known and self.known[name].state in ("queued", "running")

    # Places.

    def hold(self, one, lag):
        limit = self.cut(Fraction(self.largest + self.tick, one.weight))
        return max(-limit, min(limit, lag))

    def held_lag(self, one):
        return self.hold(one, self.cut(self.average()) - one.v)

    def place(self, one, lag):
        weight = self.weight()
        if weight == 0:
            return self.last
        return self.cut(self.average() - lag * Fraction(weight + one.weight, weight))

    def enter(self, one, v, length):
        least = 0 if self.unit is None else self.unit
        one.v = one.start = v
        one.vd = v + max(length, least)
        one.carry = Fraction(0)
        one.state = "queued"

    def fall_asleep(self, one, lag):
        one.state = "asleep"
        one.lag = lag
        if self.weight() == 0:
            self.last = one.v

    def join(self, name, weight, request=None):
        request = self.slice if request is None else request
        if name in self.known:
            self.come_back(name, weight, request)
            return
        one = Runnable(weight, request, state="asleep")
        v = self.place(one, 0)
        self.known[name] = one
        self.largest = max(self.largest, request)
        self.enter(one, v, self.cut(Fraction(request, weight * (1 if self.textbook else 2))))

    def come_back(self, name, weight, request):
        one = self.known[name]
        self.reweight(name, weight)
        one.request = request
        self.largest = max(self.largest, request)
        if one.state == "delayed":
            if one.v >= self.average():
                one.state = "queued"
                return
            self.fall_asleep(one, Fraction(0))
        self.enter(one, self.place(one, one.lag), self.cut(Fraction(request, weight)))

    def leave(self, name):
        one = self.known[name]
        if self.current == name:
            self.current = None
        if self.textbook:
            self.forget(name)
        elif one.v <= self.average():
            self.fall_asleep(one, self.held_lag(one))
        else:
            one.state = "delayed"

    def forget(self, name):
        one = self.known[name]
        if self.current == name:
            self.current = None
        if one.state != "asleep":
            self.fall_asleep(one, Fraction(0))
        del self.known[name]

    def reweight(self, name, weight):
        one = self.known[name]
        if weight == one.weight:
            return
        ratio = Fraction(one.weight, weight)
        if one.state == "asleep":
            one.lag = self.cut(one.lag * ratio)
            one.weight = weight
            return
        average = self.cut(self.average())

        def scaled(point):
            return average + self.cut((point - average) * ratio)

        v = average - self.cut(self.held_lag(one) * ratio)
        done = self.cut((one.v - one.start) * ratio)
        vd = scaled(one.vd)
        one.switched = (scaled(one.switched[0]), scaled(one.switched[1]))
        one.weight = weight
        one.carry = Fraction(0)
        one.v = v
        one.start = v - done
        one.vd = vd if v < vd else v + UNIT
        if self.weight() == one.weight:
            # Alone it is the average, whatever it was before.
            self.last = v

    # Steps.

    def protected_until(self, one):
        until = one.switched[1]
        shortest = min((self.known[name].request for name in self.waiting()), default=one.request)
        if shortest < one.request:
            until = min(until, one.switched[0] + self.cut(Fraction(shortest, one.weight)))
        return until

    def preempting(self):
        """Who takes the place of the one that runs, or None; delayed ones leave on the way."""
        one = self.known[self.current]
        while True:
            is_eligible = one.start <= self.average()
            if is_eligible and not self.textbook and one.v < self.protected_until(one):
                return None
            best = min(self.eligible(), key=self.order, default=None)
            if best is None or (is_eligible and self.order(self.current) < self.order(best)):
                return None
            if self.known[best].state == "queued":
                return best
            self.end_delay(best)

    def end_delay(self, name):
        one = self.known[name]
        self.fall_asleep(one, min(self.held_lag(one), Fraction(0)))

    def first(self):
        while self.waiting():
            best = min(self.eligible(), key=self.order)
            if self.known[best].state == "queued":
                return best
            self.end_delay(best)
        return None

    def pick(self):
        if self.current is None:
            chosen = self.first()
        else:
            chosen = self.preempting()
            if chosen is None:
                return self.current
            self.known[self.current].state = "queued"
        if chosen is not None:
            one = self.known[chosen]
            one.state = "running"
            one.switched = (one.start, one.vd)
        self.current = chosen
        return chosen

    def account(self, name, ran):
        one = self.known[name]
        gained = Fraction(ran, one.weight) + one.carry
        by = self.cut(gained)
        one.carry = gained - by
        one.v += by
        if one.v >= one.vd:
            one.start = one.v
            one.vd = one.v + self.cut(Fraction(one.request, one.weight))
        elif not self.textbook:
            one.start = one.v

    def scale(self):
        return 1 if self.textbook else 1024

    def lag(self, name):
        """As the core shows it: in the unit of virtual time."""
        one = self.known[name]
        if one.state == "asleep":
            return one.lag * self.scale()
        return (self.average() - one.v - one.carry) * self.scale()

    def virtual_time(self):
        return self.average() * self.scale()

    def copy(self, name):
        return replace(self.known[name])
