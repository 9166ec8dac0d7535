"""The brief's experiments: each takes an instance, the case's parameters and the seed, and returns its outputs."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reproduction.descent import adam, descend, plain
from reproduction.estimators import (
    ChainGradient,
    Estimator,
    PersistentES,
    ToyBackpropagation,
    TruncatedES,
    standard_normals,
)
from reproduction.problems import Array, Chain, Toy

Values = Mapping[str, Any]
Outputs = dict[str, Array]

RECORDS = 100
EVOLUTION = {"pes": PersistentES, "es": TruncatedES}


def floats(values: Any) -> Array:
    return np.asarray(values, dtype=np.float64)


def chain_start(instance: Values) -> Array:
    return np.full(len(instance["signs"]), float(instance["start"]))


def chain_estimator(instance: Values, method: str, steps: int, seed: int) -> Estimator:
    chain, start = Chain.of(instance), chain_start(instance)
    if method in EVOLUTION:
        noise = standard_normals(seed, instance["particles"], 1)
        return EVOLUTION[method](chain, start, steps=steps, sigma=instance["sigma"], noise=noise)
    return ChainGradient(chain, start, steps=steps, carry=method == "rtrl")


def influence_balancing(instance: Values, parameters: Values, seed: int) -> Outputs:
    estimator = chain_estimator(instance, parameters["method"], parameters["unroll"], seed)
    path = descend(estimator, plain(instance["learning_rate"]), floats([instance["theta"]]), instance["updates"])
    return {"theta": path[:, 0]}


def exact_gradient(instance: Values, parameters: Values, seed: int) -> Outputs:
    chain, theta = Chain.of(instance), floats([instance["theta"]])
    settled, _ = chain.unroll(chain_start(instance)[None], theta[None], 0, instance["settle"])
    return {"gradient": ChainGradient(chain, settled[0], steps=parameters["unroll"], carry=False)(theta)}


def estimator_mean(instance: Values, parameters: Values, seed: int) -> Outputs:
    estimator = chain_estimator(instance, parameters["method"], parameters["unroll"], seed)
    theta = floats([instance["theta"]])
    return {"estimates": np.concatenate([estimator(theta) for _ in range(instance["updates"])])}


def influence_update(instance: Values, parameters: Values, seed: int) -> Outputs:
    chain, theta = Chain.of(instance), floats([instance["theta"]])
    noise = iter([floats(instance["normals"])[:, None]])
    settings = {"steps": instance["steps"], "sigma": instance["sigma"], "noise": noise}
    if parameters["method"] == "es":
        truncated = TruncatedES(chain, floats(instance["mean_state"]), **settings)
        return {"gradient": truncated(theta), "states": truncated.state[None], "accumulators": np.zeros(1)}
    states = floats(instance["states"])
    persistent = PersistentES(chain, states[0], **settings)
    persistent.resume(states, floats(instance["accumulators"])[:, None])
    gradient = persistent(theta)
    return {"gradient": gradient, "states": persistent.states, "accumulators": persistent.accumulators[:, 0]}


def toy_estimator(instance: Values, parameters: Values, seed: int) -> Estimator:
    toy, start, steps = Toy.of(instance), floats(instance["start"]), parameters["unroll"]
    if parameters["method"] in EVOLUTION:
        noise = standard_normals(seed, instance["particles"], 2)
        return EVOLUTION[parameters["method"]](toy, start, steps=steps, sigma=parameters["sigma"], noise=noise)
    return ToyBackpropagation(toy, start, steps=steps)


def toy_regression(instance: Values, parameters: Values, seed: int) -> Outputs:
    rule = adam(instance["learning_rate"], instance["beta_1"], instance["beta_2"])
    updates = parameters["updates"]
    path = descend(toy_estimator(instance, parameters, seed), rule, floats(instance["theta"]), updates)
    return {"theta": path[:: updates // RECORDS]}


def toy_update(instance: Values, parameters: Values, seed: int) -> Outputs:
    normals = floats(instance["normals"]).transpose(0, 2, 1)
    pes = PersistentES(
        Toy.of(instance),
        floats(instance["start"]),
        steps=instance["steps"],
        sigma=instance["sigma"],
        noise=iter(normals),
    )
    pes.resume(floats(instance["points"]).T, floats(instance["accumulators"]).T, instance["clock"])
    theta = floats(instance["theta"])
    gradients = np.stack([pes(theta) for _ in normals])
    return {"gradients": gradients, "points": pes.states.T, "accumulators": pes.accumulators.T}


EXPERIMENTS: dict[str, Callable[[Values, Values, int], Outputs]] = {
    run.__name__: run
    for run in (influence_balancing, exact_gradient, estimator_mean, influence_update, toy_regression, toy_update)
}
