"""Has files moved to sites, between them, and back: does what ``routes`` says.

    plan_in   ──▶ where the task finds the file, and a step for its errand ┐ or a transfer, which
    plan_out  ──▶ where the task writes it, and the same                   ┘ the kernel has made
    move_all  ──▶ the hops of each transfer: by stagers here, by tasks at sites, or carried

To the kernel it is one more stager, that of all files of places that are not the client's own; so
transfers are begun together, tried again and given up as those of any other. It keeps no record of
a transfer: what is to be done follows from the file, its place, and where copies are.
"""

import itertools
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from weft.data.carry import Carrier, Destination, Load
from weft.data.copies import Copies
from weft.data.errand import (
    Facts,
    Fetch,
    Limits,
    Look,
    Make,
    Maker,
    Plan,
    Send,
    do_transfer,
    link,
)
from weft.data.leavings import RUNS, tidy
from weft.data.names import name_for, name_for_url
from weft.data.routes import (
    CLIENT,
    Copy,
    Ground,
    Hop,
    How,
    NoRoute,
    World,
    out_there,
    route,
    site_file,
)
from weft.data.trees import removed
from weft.errors import StagingError
from weft.interfaces.stager import Place, Spot, Stager, StagerContext, Transfer, Way
from weft.values.files import File, Site
from weft.values.settings import StagerSettings

__all__ = ["Haul", "Planned", "Services", "ground_of"]

SCHEME: Final = "site"
"""The scheme of files that stay at a site."""

CACHE: Final = "weft-cache"
"""The folder beside it where fetched files are kept."""


class Services(Protocol):
    """What the session does for a haul."""

    def stager(self, scheme: str) -> Stager | None:
        """The started stager of a scheme."""
        ...

    def bare_stager(self, scheme: str) -> Stager | None:
        """The same, past the cache: what it brings is a file of its own, to be written to."""
        ...

    def standing_for(self, made: Transfer, transfer: Transfer) -> AbstractContextManager[None]:
        """While it is entered, what is said of one transfer is said of another."""
        ...

    def settings(self, scheme: str) -> StagerSettings | None:
        """What describes it."""
        ...

    def capabilities(self, scheme: str) -> frozenset[str]:
        """What it declares that it can do."""
        ...

    def factory(self, settings: StagerSettings) -> tuple[str, str]:
        """Its factory, as ``module:callable``, and the distribution that brings it."""
        ...

    def run(
        self,
        labels: Sequence[str],
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> "Future[Any]":
        """Have a function called by one of these executors."""
        ...


@attrs.frozen
class Planned:
    """What is to be done about one file.

    Attributes:
        placed: the file as the task knows it.
        transfer: what the client has to have moved, before the task or after it.
        step: what the errand of the task does.
    """

    placed: File
    transfer: Transfer | None = None
    step: Fetch | Look | Make | None = None


def ground_of(label: str, site: Site) -> Ground:
    """The site of an executor; one without a name is called by the executor's label."""
    return Ground(
        name=site.name or f"@{label}",
        folder=site.folder.rstrip("/") or "/",
        urls={scheme.lower(): url.rstrip("/") for scheme, url in site.urls.items()},
        node_folder=site.node_folder.rstrip("/"),
        cache_size=site.cache_size,
        keep_runs=site.keep_runs,
    )


class Haul(Stager):
    """The files of the sites of a session.

    Args:
        sites: the site of each executor that has one, by its label.
        services: what the session does for it.
        folder: where files are put that come through the client.
        run_id: of the run.
        limits: of transfers that errands make.
    """

    def __init__(
        self,
        sites: Mapping[str, Ground],
        services: Services,
        folder: Path,
        run_id: str,
        limits: Limits,
    ) -> None:
        self._sites = sites
        self._labels: dict[str, tuple[str, ...]] = {}
        for label, ground in sites.items():
            self._labels[ground.name] = (*self._labels.get(ground.name, ()), label)
        self._world = World(
            sites={ground.name: ground for ground in sites.values()}, can=services.capabilities
        )
        self._services, self._folder, self._limits = services, folder, limits
        self._run_id = run_id
        self._run_name = run_id[:16]
        self._run_folder = f"{RUNS}/{self._run_name}"
        self._used: set[str] = set()
        self._copies = Copies()
        self._of_folders = attrs.evolve(self._world, can=self._can_for_folders)
        self._carrier = Carrier(self._run_carry, scratch=folder)
        self._number = itertools.count().__next__

    def start(self, context: StagerContext) -> None:
        """Make ready."""
        self._context = context

    def close(self) -> None:
        """Nothing is open."""

    def _can_for_folders(self, scheme: str) -> frozenset[str]:
        """What the stager of a scheme can do with a folder."""
        can = self._services.capabilities(scheme)
        return can if "folders" in can else frozenset()

    def concerns(self, file: File, place: Place) -> bool:
        """Whether a file is moved by this."""
        return bool(place.site) or file.scheme == SCHEME

    def check(self, file: File) -> None:
        """See whether ``site://NAME/path`` means something.

        Raises:
            StagingError: it does not.
        """
        self._copy_of(file, Way.IN)

    # ------------------------------------------------------------------------------------- planning

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """Where the file will be, as a transfer; ``plan_in`` and ``plan_out`` say more."""
        planned = (self.plan_in if way is Way.IN else self.plan_out)(file, place)
        return Transfer(way=way, file=file, placed=planned.placed, place=place)

    def plan_in(self, file: File, place: Place) -> Planned:
        """What brings a file to a task.

        Raises:
            StagingError: it is not there, or there is no way for it.
        """
        copies, known = self._copies_of(file)
        target = self._target_in(file, place, copies, known)
        placed = file.placed(target.where)
        hops = self._route(file, Way.IN, copies, target)
        if not hops:
            found = known.get(place.site)
            # What stays at a site by its own name may be written by others as well.
            kept = found is not None and (file.scheme != SCHEME or target != copies[0])
            facts = found.facts if found is not None and kept else None
            return Planned(placed, step=Look(file.url, target.where, facts))
        if place.site and len(hops) == 1 and hops[0].how is How.FETCH:
            place = self._nearest(place)
            if place.spot is Spot.WORKER:
                target = Copy(None, os.fspath(place.folder / "in" / Path(target.where).name))
                placed = file.placed(target.where)
            transfer = Transfer(
                way=Way.IN,
                file=File(hops[0].url),
                placed=File(hops[0].url, target.where),
                place=place,
            )
            return Planned(placed, step=Fetch(transfer, self._maker(hops[0].scheme, place.site)))
        transfer = Transfer(way=Way.IN, file=file, placed=placed, place=place)
        return Planned(placed, transfer, Look(file.url, target.where) if place.site else None)

    def plan_out(self, file: File, place: Place) -> Planned:
        """What takes a file away that a task makes.

        Raises:
            StagingError: there is no way for it.
        """
        target = self._copy_of(file, Way.OUT)
        folder = place.folder / "out" / str(self._number())
        if place.site == CLIENT:
            folder.mkdir(parents=True, exist_ok=True)
        made = Copy(place.site, os.fspath(folder / _plain_name(file)))
        placed = file.placed(made.where)
        if target.site == place.site:
            return Planned(placed, step=Make(file.url, made.where, target.where))
        hops = self._route(file, Way.OUT, [made], target)
        if len(hops) == 1 and hops[0].how is How.SEND and target.site is None:
            stager = self._services.stager(file.scheme)
            assert stager is not None
            near = self._nearest(place)
            folder = near.folder / "out" / folder.name
            planned = stager.plan(Way.OUT, file, attrs.evolve(near, folder=folder))
            send = Send(planned, self._maker(file.scheme, place.site))
            path = planned.placed.filepath
            passes = near.spot is Spot.WORKER
            return Planned(planned.placed, step=Make(file.url, path, send=send, passes=passes))
        transfer = Transfer(way=Way.OUT, file=file, placed=placed, place=place)
        return Planned(placed, transfer, Make(file.url, made.where) if place.site else None)

    def errand(self, steps: Sequence[Planned], place: Place) -> Plan | None:
        """The plan of a task's errand; ``None`` if it runs at the client's own site."""
        ground = self._world.sites.get(place.site)
        if ground is None:
            return None
        found = [one.step for one in steps]
        self._used.add(ground.name)
        return Plan(
            _folders(ground),
            tuple(step for step in found if isinstance(step, (Fetch, Look))),
            tuple(step for step in found if isinstance(step, Make)),
            self._limits,
            self._run_name,
        )

    def done(self, plan: Plan, facts: Sequence[Facts], place: Place) -> None:
        """A task has made what its plan says."""
        for make, fact in zip(plan.take, facts, strict=True):
            if make.passes:
                self._copies.forget(_key(File(make.url)))
                continue
            self._copies.made(_key(File(make.url)), Copy(place.site, make.final or make.path), fact)

    def tidy(self, ready: Callable[[str], bool], timeout: float) -> None:
        """Have removed what this run has put at sites, and what is left there of old runs.

        Only where something runs now: no job is begun for that, since a later run does it too.

        Args:
            ready: whether an executor, by its label, has workers now.
            timeout: seconds that it may take.
        """
        asked: dict[str, Future[Any]] = {}
        for name in sorted(self._used):
            ground = self._world.sites[name]
            labels = [label for label in self._labels[name] if ready(label)]
            if labels and not ground.keep_runs:
                args = (_folders(ground), self._run_name)
                asked[name] = self._services.run(labels, "weft.tidy", tidy, args)
        wait(asked.values(), timeout)
        for name, future in asked.items():
            error = future.exception(0) if future.done() and not future.cancelled() else None
            if not future.done():
                future.cancel()
                error = TimeoutError(f"it took longer than {timeout:g} s")
            if error is not None:
                self._context.notice(
                    "warning",
                    f"The files of this run stay in {self._world.sites[name].folder!r} on the site "
                    f"{name!r}: {error}. A later run removes them when they are old.",
                )

    def _target_in(
        self, file: File, place: Place, copies: Sequence[Copy], known: Mapping[str, Any]
    ) -> Copy:
        if place.site in known:
            target: Copy = known[place.site].copy
            return target
        for copy in copies:
            if copy.site == place.site:
                return copy
        folder = place.folder / "in"
        if file.scheme == "file":
            here = _absolute(file)
            slot = self._copies.slot(_key(file), self._validator(file))
            return Copy(place.site, os.fspath(folder / str(slot) / name_for(here)))
        return Copy(place.site, os.fspath(folder / name_for_url(file.url)))

    def _copies_of(
        self, file: File, mark: str | None = None
    ) -> tuple[list[Copy], Mapping[str, Any]]:
        """Where a file is, and what is remembered of copies of it.

        Args:
            file: which.
            mark: what its URL says of it now, if that was asked.
        """
        if file.scheme == "file":
            own = [Copy(CLIENT, _absolute(file))]
        else:
            own = [self._copy_of(file, Way.IN)]
        known = self._copies.at(_key(file), self._validator(file))
        if mark is not None and not known:
            known = self._copies.at(_key(file), mark)
        return own + [one.copy for one in known.values() if one.copy not in own], known

    def _copy_of(self, file: File, way: Way) -> Copy:
        """What a file is by its name alone."""
        if file.scheme == "file":
            return Copy(CLIENT, _absolute(file))
        if file.scheme != SCHEME:
            return out_there(file.url)
        try:
            return site_file(file.url, self._world)
        except ValueError as error:
            raise StagingError(
                file.url,
                way,
                str(error),
                "Write site://NAME/path, where NAME is that of a Site of an executor, and path "
                "one below its folder.",
            ) from None

    def _validator(self, file: File) -> str | None:
        if file.scheme != "file":
            return None
        stager = self._services.stager("file")
        assert stager is not None
        shared = Place(executor="", folder=self._folder)
        # Which looks whether it is there, and says what is there instead.
        stager.move(stager.plan(Way.IN, file, shared))
        return stager.validator(file)

    def _route(self, file: File, way: Way, copies: Sequence[Copy], target: Copy) -> tuple[Hop, ...]:
        relay = os.fspath(self._folder / f"{self._number()}-relay")
        try:
            world = self._of_folders if _is_folder(file) else self._world
            return route(copies, target, world, relay)
        except NoRoute as error:
            raise StagingError(
                file.url,
                way,
                f"There is no way for it. {error}",
                "Install a stager that moves it that way, or give the Site of the executor a URL "
                "by which one reaches its folder.",
            ) from None

    def _maker(self, scheme: str, site: str) -> Maker:
        settings = self._services.settings(scheme)
        assert settings is not None
        factory, package = self._services.factory(settings)
        ground = self._world.sites[site]
        keeps = "validator" in self._services.capabilities(scheme) and ground.cache_size
        return Maker(
            factory,
            pickle.dumps(settings),
            package,
            f"{ground.node_folder or ground.folder}/{CACHE}" if keeps else "",
            ground.cache_size,
            self._run_id,
        )

    # --------------------------------------------------------------------------------------- moving

    def move(self, transfer: Transfer) -> None:
        """Make one transfer."""
        (error,) = self.move_all([transfer])
        if error is not None:
            raise error

    def move_all(self, transfers: Sequence[Transfer]) -> Sequence[Exception | None]:
        """Make transfers; those that are carried to or from one site together."""
        outcomes: list[Exception | None] = [None] * len(transfers)
        together: dict[tuple[Way, str], list[tuple[int, Hop]]] = {}
        before: dict[int, str | None] = {}
        for number, transfer in enumerate(transfers):
            try:
                mark = self._mark(transfer)
                hops = self._hops(transfer, mark)
                if len(hops) == 1 and hops[0].how is How.CARRY:
                    site = hops[0].target.site or hops[0].source.site or ""
                    way = Way.IN if hops[0].target.site else Way.OUT
                    if way is transfer.way is Way.IN:
                        before[number] = self._validator(transfer.file)
                    together.setdefault((way, site), []).append((number, hops[0]))
                    continue
                facts = self._go(transfer, hops)
                if transfer.way is Way.OUT:
                    self._came_home(transfer)
                elif mark is not None and facts is not None and self._mark(transfer) == mark:
                    copy = Copy(transfer.place.site, transfer.placed.filepath)
                    self._copies.added(_key(transfer.file), copy, facts, mark)
            except Exception as error:  # noqa: BLE001 - it is handed on, and the others are moved
                outcomes[number] = error
        for (_, site), several in together.items():
            found = self._carry(site, [(transfers[number], hop) for number, hop in several])
            for (number, _), one in zip(several, found, strict=True):
                if isinstance(one, Exception):
                    outcomes[number] = one
                    continue
                try:
                    if number in before:
                        self._was_put(transfers[number], one, before[number])
                    else:
                        self._came_home(transfers[number])
                except Exception as error:  # noqa: BLE001 - as above
                    outcomes[number] = error
        return outcomes

    def _mark(self, transfer: Transfer) -> str | None:
        """What a URL says of its file, if that has to come by way of the client; may block.

        It is asked here and not while a task is planned, since a server that is silent would keep
        other tasks waiting there.
        """
        file = transfer.file
        if transfer.way is Way.OUT or file.scheme in {"file", SCHEME} or file.is_folder:
            return None
        can = self._services.capabilities(file.scheme)
        if "validator" not in can or can & {"anywhere", "third-party"}:
            return None
        stager = self._services.stager(file.scheme)
        assert stager is not None
        return stager.validator(file)

    def _go(self, transfer: Transfer, hops: Sequence[Hop]) -> Facts | None:
        """Make the hops; how the file is at the site, if it was carried there."""
        facts = None
        relays = [hop.target.where for hop in hops[:-1]]
        try:
            for hop in hops:
                facts = self._do(transfer, hop)
            if all(hop.how is How.LINK for hop in hops):
                self._context.progress(transfer, 0, 0)  # it was there: nothing had to be moved
        finally:
            for relay in relays:
                removed(Path(relay))
        return facts

    def _hops(self, transfer: Transfer, mark: str | None) -> tuple[Hop, ...]:
        file, place = transfer.file, transfer.place
        if transfer.way is Way.IN:
            copies, _ = self._copies_of(file, mark)
            target = Copy(place.site, transfer.placed.filepath)
        else:
            copies = [Copy(place.site, transfer.placed.filepath)]
            target = self._copy_of(file, Way.OUT)
        return self._route(file, transfer.way, copies, target)

    def _was_put(self, transfer: Transfer, facts: Facts, before: str | None) -> None:
        """A file was carried to a site: remember that, if it was the same all the time."""
        file = transfer.file
        try:
            after = self._validator(file)
        except StagingError:
            return  # it is gone meanwhile; the task has what it asked for
        if after == before:
            copy = Copy(transfer.place.site, transfer.placed.filepath)
            self._copies.added(_key(file), copy, facts, after)

    def _came_home(self, transfer: Transfer) -> None:
        """What a site made is at the client, if that is where it was to go."""
        file = transfer.file
        if file.scheme == "file":
            copy = Copy(transfer.place.site, transfer.placed.filepath)
            self._copies.came_home(_key(file), copy, self._validator(file))

    def _carry(self, site: str, several: Sequence[tuple[Transfer, Hop]]) -> Sequence[Any]:
        ground = self._world.sites[site]
        at = Destination(executor=self._labels[site][0], folder=ground.folder, site=site)
        inward = bool(several[0][1].target.site)
        loads = [
            Load(
                url=transfer.file.url,
                here=hop.source.where if inward else hop.target.where,
                there=hop.target.where if inward else hop.source.where,
                progress=partial(self._context.progress, transfer),
            )
            for transfer, hop in several
        ]
        return (self._carrier.put if inward else self._carrier.get)(at, loads)

    def _do(self, transfer: Transfer, hop: Hop) -> Facts | None:
        """One hop, whatever it is; how the file is there, if it was carried."""
        if hop.how is How.CARRY:
            site = hop.target.site or hop.source.site or ""
            (found,) = self._carry(site, [(transfer, hop)])
            if isinstance(found, Exception):
                raise found
            facts: Facts = found
            return facts
        if hop.how is How.LINK:
            self._link(transfer, hop)
        elif hop.how in {How.FETCH, How.SEND}:
            self._at_site(transfer, hop)
        else:
            self._by_stager(transfer, hop)
        return None

    def _link(self, transfer: Transfer, hop: Hop) -> None:
        if hop.at == CLIENT:
            link(hop.source.where, hop.target.where)
        else:
            self._run(hop.at, "weft.link", link, (hop.source.where, hop.target.where))

    def _at_site(self, transfer: Transfer, hop: Hop) -> None:
        """By a stager of the machine that has the file, or wants it."""
        fetches = hop.how is How.FETCH
        path = hop.target.where if fetches else hop.source.where
        made = Transfer(
            way=Way.IN if fetches else Way.OUT,
            file=File(hop.url),
            placed=File(hop.url, path),
            place=self._site_place(hop.at),
        )
        # Whoever called this tries again.
        args = (made, self._maker(hop.scheme, hop.at), _once(self._limits))
        self._run(hop.at, f"weft.{hop.how.value}", do_transfer, args)

    def _by_stager(self, transfer: Transfer, hop: Hop) -> None:
        """By a stager of this machine."""
        home = hop.how is How.PULL and transfer.way is Way.OUT
        services = self._services
        stager = services.bare_stager(hop.scheme) if home else services.stager(hop.scheme)
        assert stager is not None
        if hop.how is How.THIRD_PARTY:
            inward = hop.target.site is not None
            path = hop.target.where if inward else hop.source.where
            place = self._site_place((hop.target.site if inward else hop.source.site) or "")
        else:
            inward = hop.how is How.PULL
            path = hop.target.where if inward else os.path.realpath(hop.source.where)
            # Of the client, and for this file alone.
            place = Place(
                executor=transfer.place.executor,
                folder=Path(path).parent,
                shared=False,
                spot=Spot.CLIENT,
            )
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        made = Transfer(
            way=Way.IN if inward else Way.OUT,
            file=File(hop.url),
            placed=File(hop.url, path),
            place=place,
        )
        with services.standing_for(made, transfer):
            stager.move(made)

    def _nearest(self, place: Place) -> Place:
        """Where a machine of the site has files that only its own tasks need."""
        folder = self._world.sites[place.site].node_folder
        if not folder:
            return place
        return attrs.evolve(
            place, folder=Path(folder) / self._run_folder, spot=Spot.WORKER, urls={}
        )

    def _site_place(self, name: str) -> Place:
        ground = self._world.sites[name]
        return Place(
            executor=self._labels[name][0],
            folder=Path(ground.folder),
            shared=False,
            site=name,
            urls=ground.urls,
        )

    def place(self, label: str) -> Place:
        """Where the files of this run are at the site of an executor."""
        ground = self._sites[label]
        return Place(
            executor=label,
            folder=Path(ground.folder) / self._run_folder,
            shared=False,
            site=ground.name,
            urls={scheme: f"{url}/{self._run_folder}" for scheme, url in ground.urls.items()},
        )

    def _run(
        self, site: str, name: str, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self._services.run(self._labels[site], name, function, args).result()

    def _run_carry(
        self, label: str, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> "Future[Any]":
        labels = self._labels[self._sites[label].name]
        return self._services.run(labels, "weft.carry", function, args)


def _folders(ground: Ground) -> tuple[str, ...]:
    """Those of a site, and of its machines."""
    return tuple(folder for folder in (ground.folder, ground.node_folder) if folder)


def _once(limits: Limits) -> Limits:
    """One try, within the same time."""
    return Limits(1, 0.0, limits.timeout)


def _is_folder(file: File) -> bool:
    """Whether it is one, by its name or as it lies there."""
    return file.is_folder or (file.scheme == "file" and os.path.isdir(file.path))  # noqa: PTH112 - as below


def _key(file: File) -> str:
    """What one file is known by, however it is named."""
    return "file://" + _absolute(file) if file.scheme == "file" else file.url


def _absolute(file: File) -> str:
    # Not Path.absolute, which keeps '..': one file would have several names.
    return os.path.abspath(file.path)  # noqa: PTH100


def _plain_name(file: File) -> str:
    """The last part of a file's path, if that can be the name of a file; for people alone."""
    name = file.filename
    if name in {"", ".", ".."} or "\0" in name or len(os.fsencode(name)) > 255:
        return name_for_url(_key(file))
    return name
