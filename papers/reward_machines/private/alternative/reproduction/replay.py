"""Experiments on given steps, in which nothing is random."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from reproduction.agents import Hierarchical, flat, menus
from reproduction.bundle import END, Bundle, Floats
from reproduction.shaping import potentials, shaped
from reproduction.tables import Move, Rates

Given = Mapping[str, Any]
Outputs = dict[str, Any]


def machine(instance: Given, parameters: Given, seed: int) -> Outputs:
    """A machine alone reads events, and begins again whenever it has ended."""
    bundle = Bundle([instance["machine"]])
    states, rewards, state = [], [], 0
    for events in instance["events"]:
        reaction = bundle.react(events)
        start = 0 if state == END else state
        state = int(reaction.after[start])
        states.append(state)
        rewards.append(reaction.reward[start])
    return {
        "states": np.array(states, dtype=np.int64),
        "rewards": np.array(rewards, dtype=np.float64),
        "potentials": potentials(bundle, instance["discount"])[:-1],
    }


def experiences(instance: Given, parameters: Given, seed: int) -> Outputs:
    """Everything that CRM learns from in the given steps."""
    bundle, discount = Bundle(instance["machines"]), instance["discount"]
    phi = potentials(bundle, discount)
    blocks, possible = [np.empty((0, 7))], np.ones(bundle.rows, dtype=bool)
    for number, (*_, events) in enumerate(instance["steps"]):
        reaction = bundle.react(events)
        columns = [
            np.full(bundle.rows, number),
            bundle.machine,
            bundle.state,
            reaction.reward,
            shaped(reaction, phi, discount),
            bundle.states(reaction.after),
            reaction.after == END,
        ]
        blocks.append(np.column_stack(columns)[possible])
        possible = reaction.reached
    return {"experiences": np.concatenate(blocks).astype(np.float64)}


def update(instance: Given, parameters: Given, seed: int) -> Outputs:
    """An episode of given steps, learned from given values."""
    values = np.array(instance["values"], dtype=np.float64)
    agent = flat(parameters["learner"], Bundle(instance["machines"]), _rates(instance), values)
    agent.begin(instance["task"])
    for cell, action, there, events in instance["steps"]:
        reaction = agent.bundle.react(events)
        agent.learn(Move(cell, action, there), reaction)
        agent.advance(reaction)
    return {"values": agent.values}


def options(instance: Given, parameters: Given, seed: int) -> Outputs:
    """An episode of given steps and choices, learned by HRM from given values."""
    bundle = Bundle(instance["machines"])
    values = np.array(instance["options"], dtype=np.float64)
    agent = Hierarchical(bundle, _rates(instance), values, _by_option(bundle, instance["controller"], values.shape[1]))
    agent.begin(instance["task"])
    for choice, cell, action, there, events in instance["steps"]:
        if choice is not None:
            agent.commit(choice, cell)
        reaction = bundle.react(events)
        agent.learn(Move(cell, action, there), reaction)
        agent.advance(reaction)
    return {"edges": _edges(bundle), "options": agent.values, "controller": _by_row(bundle, agent.worth)}


def _rates(instance: Given) -> Rates:
    return Rates(instance["discount"], instance["learning_rate"])


def _edges(bundle: Bundle) -> Any:
    source, goal = np.array(bundle.exits()).T
    return np.column_stack([bundle.machine[source], bundle.state[source], bundle.states(goal)]).astype(np.int64)


def _by_option(bundle: Bundle, controller: list[Any], cells: int) -> Floats:
    """From a list of rows (cells, options of the row) to an array (options, cells)."""
    worth = np.empty((len(bundle.exits()), cells))
    for menu, row in zip(menus(bundle), controller, strict=True):
        worth[menu] = np.array(row, dtype=np.float64).T
    return worth


def _by_row(bundle: Bundle, worth: Floats) -> Floats:
    """Back to the list of rows, one after the other, flattened."""
    return np.concatenate([worth[menu].T.ravel() for menu in menus(bundle)])
