"""What happens to the agent of one seed, and when. Pure: the same seed gives the same plan.

A plan is a list of steps in order of time. Four timelines are drawn apart from each other and merged, so that they
meet in all ways: the plant (values cross limits), the agent (killed and started), the broker (killed, stopped,
frozen), and a program that holds the store's file.
"""

import dataclasses
import random

# Points with a high limit of 50 and a high-high one of 90; what is beyond is beyond at once, or after 300 ms.
POINTS = [f"P-{number:02}" for number in range(1, 9)]
DELAYED = {"P-07", "P-08"}
# Nothing crosses its limit until the faults are over.
LAST = "P-99"
# In the second configuration its limit is lower.
MOVED = "P-03"
MOVED_LIMITS = (50, 40)
LIMIT, LIMIT_HIGH = 50, 90
LEVELS = [10, 45, 60, 95]


@dataclasses.dataclass(frozen=True)
class Step:
    at_ms: int
    who: str
    what: str
    detail: object = None


@dataclasses.dataclass(frozen=True)
class Plan:
    seed: int
    # The broker keeps sessions and messages over its own end, as far as it had written them.
    persistent: bool
    # The receiver keeps a session at the broker.
    session: bool
    receiver_pause_s: float
    # The broker ends and comes back. Frozen it forgets nothing.
    broker_fails: bool
    # How the agent ends at the very end.
    end: str
    steps: list


def plan(seed):
    draw = random.Random(seed)
    length = draw.randint(2500, 6500)
    steps = [*plant(draw, length), *agent(draw, length)]
    if draw.random() < 0.8:
        steps += broker(draw, length)
    if draw.random() < 0.3:
        steps += holder(draw, length)
    steps += [Step(draw.randrange(length), "person", "act") for _ in range(length // 400)]
    return Plan(
        seed=seed,
        persistent=draw.random() < 0.5,
        session=draw.random() < 0.5,
        broker_fails=any(step.who == "broker" and step.what in {"kill", "stop"} for step in steps),
        receiver_pause_s=draw.choice([0.05, 0.3, 1.0]),
        end=draw.choice(["kill", "stop"]),
        steps=sorted(steps, key=lambda step: step.at_ms),
    )


def plant(draw, length):
    at, steps = 0, []
    # A rush makes commits that never end, a calm one lets each act stand alone.
    pause = draw.choice([20, 60, 200])
    while at < length:
        steps.append(Step(at, "plant", "set", (draw.choice(POINTS), draw.choice(LEVELS))))
        at += 1 + int(draw.expovariate(1 / pause))
    return steps


def agent(draw, length):
    steps, at, version = [Step(0, "agent", "start")], 0, 0
    while True:
        # A third falls into the start.
        at += draw.randint(0, 500) if draw.random() < 0.35 else draw.randint(500, 2000)
        if at >= length:
            return steps
        match draw.choice(["kill", "kill", "kill in stop", "kill in reload", "reload", "stop"]):
            case "kill":
                steps.append(Step(at, "agent", "kill"))
            case "kill in stop":
                steps.append(Step(at, "agent", "stop"))
                at += draw.choice([draw.randint(0, 60), draw.randint(0, 1000)])
                steps.append(Step(at, "agent", "kill"))
            case "kill in reload":
                version = 1 - version
                steps.append(Step(at, "agent", "reload", version))
                at += draw.choice([draw.randint(0, 30), draw.randint(0, 300)])
                steps.append(Step(at, "agent", "kill"))
            case "reload":
                version = 1 - version
                steps.append(Step(at, "agent", "reload", version))
                continue
            case "stop":
                steps.append(Step(at, "agent", "stop"))
        at += draw.randint(0, 100) if draw.random() < 0.7 else draw.randint(100, 1000)
        steps.append(Step(at, "agent", "start"))


def broker(draw, length):
    at, steps = 0, []
    while True:
        at += draw.randint(200, 2500)
        if at >= length:
            return steps
        how = draw.choice(["kill", "kill", "stop", "freeze"])
        steps.append(Step(at, "broker", how))
        if how != "freeze" and draw.random() < 0.2:
            # Both lose power together.
            steps += [Step(at, "agent", "kill"), Step(at + draw.randint(0, 300), "agent", "start")]
        at += draw.randint(0, 300) if draw.random() < 0.5 else draw.randint(300, 1500)
        steps.append(Step(at, "broker", "thaw" if how == "freeze" else "start"))


def holder(draw, length):
    """Another program holds the store's file: commits fail, and what is urgent goes out marked."""
    at = draw.randrange(length)
    return [Step(at, "store", "hold"), Step(at + draw.randint(50, 2500), "store", "release")]
