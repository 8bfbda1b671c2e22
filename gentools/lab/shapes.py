"""What belongs together must fit together: refusals for tensors that torch would spread over each other in silence.

Beside them `graphless`, for functions that only read tensors, such as metrics, and `modes_kept` and `rates_kept`, for
those that change the modes of networks or the rates of optimizers on their way, and `may_lack_inputs` for what makes
layers.
"""

import functools
import math
import numbers as numbers_of_python
import warnings
from collections.abc import Mapping

import torch

from gentools.lab.optim import groups, strangers

# Decorates a function that takes tensors with a graph of gradients and gives results without one.
graphless = torch.no_grad()


def modes_kept(function):
    """Decorates function(nets, ...): every layer is afterwards in training or evaluation mode as before.

    So it is when an exception ends the function, and BatchNorm's momentum is kept likewise. A network that was in
    evaluation mode therefore stays in it.
    """

    @functools.wraps(function)
    def keeping(nets, *args, **how):
        if not isinstance(nets, torch.nn.Module):
            return function(nets, *args, **how)  # which says what is wrong
        before = [(layer, _modes(layer)) for layer in nets.modules()]
        try:
            return function(nets, *args, **how)
        finally:
            for layer, modes in before:
                vars(layer).update(modes)

    return keeping


def one_score_per_row(function):
    """Decorates function(critic, ...), which takes the slope of a row's one score in that row.

    It refuses a critic that gives another number of scores than one per row: the slope would be that of their sum. Raises
    ValueError.
    """

    @functools.wraps(function)
    def checking(critic, *args, **how):
        def scores(x):
            given = critic(x)
            one_score_each(given, x)
            return given

        return function(scores, *args, **how)

    return checking


def one_score_each(scores, rows=None):
    """Refuse scores (n, ...) of a critic that are not one for each of the rows, which are n if not given. ValueError."""
    if scores.numel() != len(scores if rows is None else rows):
        raise ValueError(f"a critic gives one score per row, not {tuple(scores.shape[1:])}")


def rows_apart(function):
    """Decorates function(critic, ...) that has no meaning where BatchNorm ties the rows of a batch together. ValueError."""

    @functools.wraps(function)
    def checking(critic, *args, **how):
        row_by_row(critic)
        return function(critic, *args, **how)

    return checking


def may_lack_inputs(function):
    """Decorates what makes layers of which one may have no inputs: torch does not warn that there is nothing to draw.

    Such a layer reads a code of length 0, by which a network is kept from seeing something. It adds nothing to the rest.
    """

    @functools.wraps(function)
    def making(*args, **how):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element tensors", UserWarning)
            return function(*args, **how)

    return making


def rates_kept(function):
    """Decorates function(step, nets, opts, ...): every learning rate is afterwards as before, also after an exception.

    So what is trained next, with a schedule or without, starts from the rates that were set and not from where the last
    schedule ended.
    """

    @functools.wraps(function)
    def keeping(step, nets, opts, *args, **how):
        if not isinstance(opts, dict):
            return function(step, nets, opts, *args, **how)  # which says what is wrong
        before = [{key: group.get(key) for key in RATES} for group in groups(opts)]
        try:
            return function(step, nets, opts, *args, **how)
        finally:
            for group, rates in zip(groups(opts), before, strict=True):  # resumed optimizers have new ones
                for key in RATES:
                    group.pop(key, None)
                group.update({key: rate for key, rate in rates.items() if rate is not None})

    return keeping


def explained(function):
    """Decorates train(step, ...): if the step fails in its first call, a note at the error says what it was given.

    And a `watch` that returns no dict is named as such. Raises TypeError for that.
    """

    def watched(watch, done):
        seen = watch(done)
        if not isinstance(seen, Mapping):
            raise TypeError(f"watch returns numbers by name, such as {{'distance': 0.1}}, or {{}}, and not {seen!r}")
        return seen

    @functools.wraps(function)
    def explaining(step, nets, opts, *args, **how):
        never_below_0(how.get("schedule"), how.get("steps", args[1] if len(args) > 1 else 0))
        if callable(how.get("watch")):
            how["watch"] = functools.partial(watched, how["watch"])
        try:
            return function(step, nets, opts, *args, **how)
        except Exception as error:
            trace = error.__traceback__
            while trace.tb_frame.f_code is not function.__code__ and trace.tb_next:
                trace = trace.tb_next
            run = trace.tb_frame.f_locals
            if trace.tb_next and "x" in run and "metrics" not in run and not getattr(error, "__notes__", ()):
                x, *labels = run["x"] if isinstance(run["x"], tuple) else (run["x"],)
                told = f", labels {', '.join(map(_form, labels))}" if labels else " without labels"
                asked = ""
                if isinstance(error, KeyError) and not {*error.args} & {*opts} & {*_parts(nets)}:
                    asked = (
                        f" The step asks for {error}, which nets (a network of that name) or opts (an optimizer) lacks; one "
                        "optimizer can move several networks: adam([*one.parameters(), *other.parameters()], lr)."
                    )
                error.add_note(
                    f"The step was given x {_form(x)}{told}, z {_form(run['z'])}, the networks {', '.join(_parts(nets))} "
                    f"and the optimizers {', '.join(opts)}.{asked} A Stream of (rows, labels) gives labels, its z_shape is "
                    "that of z."
                )
            raise

    return explaining


def never_below_0(schedule, steps):
    """Refuse a schedule whose last rate is negative, from where on Adam would climb the loss. Raises ValueError."""
    if callable(schedule) and isinstance(steps, int) and steps > 0 and (last := schedule(steps - 1)) < 0:
        raise ValueError(
            f"the schedule is {last:.3g} at the last step, and a rate below 0 climbs the loss: a schedule must know all "
            f"{steps} steps of the training"
        )


def _form(value):
    return f"{tuple(value.shape)} {value.dtype}" if isinstance(value, torch.Tensor) else f"{value!r}"


def _parts(nets):
    return dict(nets.named_children())


def trainable(nets, opts, stream):
    """Refuse what `train` could make nothing of. Raises TypeError or ValueError.

    That is a stream that is none, networks without parameters, on another device than the data or of another precision,
    and an optimizer that updates none of the networks, or not the one whose name it has.
    """
    if not all(callable(getattr(stream, name, None)) for name in ("batch", "noise")):
        raise TypeError(
            f"stream is a lab.stream.Stream, as Stream(data, batch=64, z_shape=2), not a {type(stream).__name__}"
        )
    if not list(nets.parameters()):
        raise ValueError("nets has no parameters, so there is nothing to train")
    device = next(nets.parameters()).device
    two_ways = [layer.training for layer in nets.modules() if isinstance(layer, TWO_WAYS)]
    if two_ways and not any(two_ways):
        warnings.warn(
            "the networks are in evaluation mode, in which BatchNorm learns no averages and Dropout drops nothing; call "
            "nets.train() before training",
            stacklevel=4,
        )
    if device.type != stream.device.type:
        raise ValueError(f"the networks are on {device} and the data on {stream.device}; move one with .to()")
    kind, given = next(nets.parameters()).dtype, getattr(stream, "dtype", None)
    if given is not None and kind != given:
        raise ValueError(
            f"the networks are {kind} and the data {given}; convert the networks, nets.to({given}), or, of vectors, the "
            f"data, data.to({kind}): pictures come in torch's default precision"
        )
    for name in strangers(nets, opts):
        raise ValueError(f"opts[{name!r}] updates nothing in nets; make the optimizers anew after the networks")
    for name, part in _parts(nets).items():
        if strangers(part, {name: opts[name]} if name in opts else {}):
            raise ValueError(f"opts[{name!r}] updates nothing in nets[{name!r}], whose name it has")


TWO_WAYS = torch.nn.modules.batchnorm._BatchNorm, torch.nn.modules.dropout._DropoutNd  # their modes differ
RATES = "lr", "initial_lr"  # as set, and from which a schedule starts


def _modes(layer):
    return {name: value for name, value in vars(layer).items() if name in ("training", "momentum")}


def _refuse(given, part, wish):
    for name, value in given.items():
        _no_array(name, value)
    shapes = [tuple(getattr(value, "shape", ())) for value in given.values()]
    if any(part(shape) != part(shapes[0]) for shape in shapes):
        found = ", ".join(f"{name} {shape}" for name, shape in zip(given, shapes, strict=True))
        raise ValueError(f"{wish}; they are {found}")


def _no_array(name, value):
    """Refuse a numpy array or a list in place of a tensor."""
    if isinstance(value, (list, tuple)) or type(value).__module__ == "numpy":
        tensors(**{name: value})


def same_shape(**given):
    """Refuse tensors that are read entry by entry and differ in shape: torch would repeat a single row for all.

    It looks at shapes alone, so that a training step may call it. Raises ValueError.
    """
    wish = "these are read entry by entry and need one shape (.T turns a table, .expand_as spreads a row meant for all)"
    _refuse(given, lambda shape: shape, wish)


def same_rows(**given):
    """Refuse tensors that hold one row for each of the same things and differ in their number. Raises ValueError."""
    _refuse(given, lambda shape: shape[:1], "these need equally many rows, one per example or class of each")


def number_per_row(x, **numbers):
    """Refuse what is not one number for each row of x (n, ...): neither one for all nor one per entry. Raises ValueError."""
    same_rows(x=x, **numbers)
    for name, value in numbers.items():
        if value.numel() != len(x):
            raise ValueError(f"{name} must hold one number per row, ({len(x)},), not {tuple(value.shape)}")


def number_or_like(x, **numbers):
    """Refuse what is neither one number nor of the shape of x (n, ...): torch would make a table. Raises ValueError."""
    for name, value in numbers.items():
        shape = torch.as_tensor(value).shape
        if shape not in ((), (1,), x.shape):
            raise ValueError(f"{name} must be one number or of shape {tuple(x.shape)}, not of shape {tuple(shape)}")


def same_columns(**given):
    """Refuse tensors whose last axes must stand for the same things and differ in length. Raises ValueError."""
    _refuse(given, lambda shape: shape[-1:], "the last axes of these stand for the same and need one length")


def number_or_column(**given):
    """Refuse what is neither one number nor of shape (..., 1): torch would take numbers (k,) for one per column. ValueError."""
    for name, value in given.items():
        shape = torch.as_tensor(value).shape
        if shape and shape[-1] != 1:
            raise ValueError(
                f"{name} is one number, or a column of them, (..., 1), not of shape {tuple(shape)}; {name}[..., None] makes one"
            )


def vectors(**given):
    """Refuse what is not numbers (n,) along one axis, such as a column (n, 1). Raises ValueError."""
    for name, value in given.items():
        if value.ndim != 1:
            raise ValueError(
                f"{name} must be numbers (n,), not of shape {tuple(value.shape)}; {name}.flatten() makes them"
            )


def one_axis_of_codes(**tables):
    """Refuse tables over x and codes that are not (n, k), with one axis for each. Raises ValueError."""
    for name, table in tables.items():
        if table.ndim != 2:
            raise ValueError(
                f"{name} must be a table (n, k), x along dim 0 and z along dim 1, not of shape {tuple(table.shape)}; "
                f"{name}.flatten(1) makes one axis of the parts of a code"
            )


def of_width(width, **rows):
    """Refuse what is not rows of `width` numbers each. Raises ValueError."""
    for name, x in rows.items():
        if x.ndim != 2 or x.shape[-1] != width:
            raise ValueError(
                f"{name} must be rows of {width} numbers each, (n, {width}), not of shape {tuple(x.shape)}"
            )


def positive(**numbers):
    """Refuse standard deviations, variances and widths that are not above 0. Raises ValueError."""
    for name, number in numbers.items():
        if not torch.as_tensor(number > 0).all():
            raise ValueError(f"{name} must be positive, not {number}")


def of_two_axes(**tables):
    """Refuse what is no table (n, k), such as one with a third axis. Raises ValueError."""
    for name, table in tables.items():
        if table.ndim != 2:
            raise ValueError(f"{name} must be a table (n, k), not of shape {tuple(table.shape)}")


def of_bits(**tables):
    """Refuse what is no table of bits, with axes of length 2 alone. Raises ValueError."""
    for name, table in tables.items():
        if set(table.shape) - {2}:
            raise ValueError(f"{name} is a table of bits (2, ..., 2), not of shape {tuple(table.shape)}")


def flat(**rows):
    """Refuse what is not rows of numbers (n, d), such as pictures or rows with a further axis. Raises ValueError."""
    for name, x in rows.items():
        if x.ndim != 2:
            raise ValueError(f"{name} must be rows (n, d), not of shape {tuple(x.shape)}: {name}.flatten(1)")


def gray_of_side(side, **given):
    """Refuse what is not gray pictures (n, 1, side, side). Raises ValueError."""
    for name, x in given.items():
        if tuple(x.shape[1:]) != (1, side, side):
            raise ValueError(f"{name} must have the shape (n, 1, {side}, {side}), not {tuple(x.shape)}")


def draws_of_each(number, **given):
    """Refuse what does not hold so many draws for each row, (n, number, k). Raises ValueError."""
    for name, rows in given.items():
        if rows.ndim != 3 or rows.shape[1] != number:
            raise ValueError(
                f"{name} holds {number} draws for each row, (n, {number}, k), and has the shape {tuple(rows.shape)}"
            )


def one_number(**numbers):
    """Refuse several numbers where one stands for everything: torch would pair them with entries. Raises ValueError."""
    for name, number in numbers.items():
        given = torch.as_tensor(number)
        if given.numel() != 1:
            raise ValueError(f"{name} is one number, not of shape {tuple(given.shape)}; loop over several")


def variances_of_all(least=None, **numbers):
    """Refuse what is no variance that all entries share: several numbers, NaN, infinity, or none above 0.

    least=0 lets 0 pass. Raises ValueError.
    """
    one_number(**numbers)
    for name, number in numbers.items():
        if not (number > 0 or (number == 0 and least == 0)) or math.isinf(number):
            wish = "positive" if least is None else "0 or more"
            raise ValueError(f"{name} must be {wish} and finite, not {float(number):g}")


def loss_weights(**weights):
    """Refuse weights of terms of a loss, and other sizes, that are below 0, NaN or infinite. Raises ValueError."""
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ValueError(f"{name} must be a number from 0 up, not {weight}")


def tensors(**given):
    """Refuse what is no torch tensor of real numbers, such as a numpy array or a list. Raises TypeError."""
    for name, value in given.items():
        if not isinstance(value, torch.Tensor):
            raise TypeError(
                f"{name} must be a torch tensor, not {type(value).__module__}.{type(value).__name__}; "
                f"torch.as_tensor({name}) makes one of an array or a list"
            )
        if value.is_complex():
            raise TypeError(f"{name} must hold real numbers, not {value.dtype}; use {name}.real or its absolute values")


def floating(**given):
    """Refuse what is no torch tensor of floating-point numbers. Raises TypeError."""
    tensors(**given)
    for name, value in given.items():
        if not value.is_floating_point():
            raise TypeError(f"{name} must hold floating-point numbers, not {value.dtype}; {name}.double() makes them")


def told_whole(kind, **given):
    """Refuse whole numbers so large that several become one as floating-point numbers of that kind. Raises ValueError."""
    most = round(2 / torch.finfo(kind).eps)
    for name, x in given.items():
        if not x.is_floating_point() and x.numel() and not (-most <= int(x.min()) and int(x.max()) <= most):
            raise ValueError(
                f"{name} holds whole numbers up to {int(x.max())} or down to {int(x.min())}, and beyond {most} several become "
                f"one in {kind}; give {name}.double(), or less a common number"
            )


def filled(**given):
    """Refuse tensors without rows: a mean over none is NaN. Raises ValueError."""
    for name, rows in given.items():
        if getattr(rows, "ndim", 1) and not len(rows):
            raise ValueError(f"{name} holds no rows, and nothing follows from none")


def occupied(**shares):
    """Refuse sums of responsibilities (k,) of which one is not above 0: nothing belongs to that component. ValueError."""
    for name, sums in shares.items():
        if not (sums > 0).all():
            raise ValueError(f"every component needs a point that belongs to it, and {name} is {sums.tolist()}")


def shared_out(**tables):
    """Refuse responsibilities (n, k) of which a row is 0 throughout, for its point would drop out. So of an encoder that
    has no code for some x. Raises ValueError, where `distributions` does."""
    for name, table in tables.items():
        if table.device.type == "cpu" and not _known(table.detach().sum(1) > 0):
            raise ValueError(f"each row of {name} must sum to 1, and a row that is 0 throughout leaves its point out")


def finite(advice, **given):
    """Refuse tensors that hold NaN or infinity, with advice. Raises ValueError."""
    for name, x in given.items():
        if bad := int((~x.isfinite()).sum()):
            raise ValueError(f"{bad} of the {x.numel()} numbers of {name} are NaN or infinite; {advice}")


def squares_fit(**given):
    """Refuse rows (n, d) so far from 0 that the square of a distance between two of them may overflow. Raises ValueError."""
    squares = {f"squares_of_{name}": (2 * x).square().sum(1) for name, x in given.items()}
    finite("distances overflow: scale the features down", **squares)


def centers_of_modes(columns=None, **given):
    """Refuse centers that are no finite tensor (k, d), one row per mode and k >= 1; with columns, d must be that number.

    Raises TypeError for what is no tensor of real numbers, ValueError otherwise.
    """
    tensors(**given)
    for name, centers in given.items():
        if centers.ndim != 2 or not len(centers) or centers.shape[1] != (columns or max(1, centers.shape[1])):
            wish = f"(k, {columns or 'd'}), one row per mode and k >= 1, not {tuple(centers.shape)}"
            raise ValueError(f"{name} must have the shape {wish}; data.grid_centers() shows how")
    finite("a mode needs a place: drop those rows", **given)


def whole(least=1, **numbers):
    """Refuse numbers that are not whole or lie below `least`, if that is not None. Raises ValueError."""
    for name, number in numbers.items():
        fits = isinstance(number, numbers_of_python.Integral) and not isinstance(number, bool)
        if not fits or (least is not None and number < least):
            wish = "a whole number" if least is None else f"at least {least} and a whole number"
            raise ValueError(f"{name} must be {wish}, not {number!r}")


def neighbors_told_apart(function):
    """Decorates f(x, ...) -> squares (n,), such as those of distances between rows of x: it warns as `told_apart` does.

    The rows are looked at about their mean, as the function must do.
    """

    @functools.wraps(function)
    def telling(x, *args, **how):
        squares = function(x, *args, **how)
        x = x.to(squares.dtype)
        told_apart(centered=True, x=(x - x.mean(0), squares))
        return squares

    return telling


def told_apart(*, centered=False, **given):
    """Warn if over a twentieth of squared distances is lost in rounding, where they come from |x|^2 - 2 x.y + |y|^2.

    given: by name a pair of rows x (n, d) and the squares that matter, one per row or one in all. Copies of a row do not
    count: they are 0 apart, and rounding as good as says so. centered: the rows have had their mean subtracted.
    """
    advice = "" if centered else "subtract a common mean, or "
    for name, (x, squares) in given.items():
        rounding = 4 * torch.finfo(x.dtype).eps * float(x.detach().square().sum(1).max())
        lost = squares < rounding
        if 20 * int(lost.sum()) > lost.numel():
            _, group, count = x.unique(dim=0, return_inverse=True, return_counts=True)
            few = int((lost & (count[group] == 1)).sum()) if lost.ndim else 1
            if 20 * few > lost.numel():
                warnings.warn(
                    f"{few} of {lost.numel()} distances in {name} are smaller than {x.dtype} can tell, and the result is "
                    f"wrong by as much: {advice}give {name}.double()",
                    stacklevel=3,
                )


def noise_told_apart(mean, log_variance):
    """Warn if over a twentieth of Gaussian codes have less noise than the rounding of mean + noise can hold; each (n, k)."""
    std, rounding = (log_variance.detach() / 2).exp(), 2 * torch.finfo(mean.dtype).eps * mean.detach().abs()
    lost = int((std < rounding).sum())
    if 20 * lost > std.numel():
        warnings.warn(
            f"the noise of {lost} of {std.numel()} numbers of codes is smaller than {mean.dtype} can tell beside their "
            "mean, and the result is wrong by some hundredths of a nat up to a nat: give the codes and the noise .double()",
            stacklevel=4,
        )


def split_evenly(parts, **given):
    """Refuse rows that do not fall into so many equal parts. Raises ValueError."""
    whole(parts=parts)
    for name, rows in given.items():
        if not len(rows) or len(rows) % parts:
            raise ValueError(f"{name} has {len(rows)} rows, which do not fall into {parts} equal parts")


def rising(**points):
    """Refuse points (n,) on a line that are not in rising order. Raises ValueError."""
    for name, x in points.items():
        if x.ndim != 1 or not (x.diff() >= 0).all():
            raise ValueError(
                f"{name} must be points (n,) in rising order; {name}, order = {name}.sort() puts them so, and [order] "
                "brings the tables along"
            )


def evenly_rising(**grids):
    """Refuse grids (n,) of two places or more on a line that do not rise by equal steps. Raises ValueError."""
    for name, x in grids.items():
        step = x.detach().diff() if x.ndim == 1 else x.new_zeros(0)
        if not len(step) or not (step.min() > 0 and step.max() <= 1.05 * step.min()):
            raise ValueError(f"{name} must be a grid (n,) that rises by equal steps, as torch.linspace makes it")


def falling(**values):
    """Refuse numbers (n,), such as eigenvalues, that are not in falling order. Raises ValueError."""
    for name, x in values.items():
        if x.ndim != 1 or not (x.diff() <= 0).all():
            raise ValueError(
                f"{name} must be numbers (n,) in falling order; torch.linalg.eigh gives rising ones: .flip(0) turns them, "
                "and .flip(1) the eigenvectors"
            )


def passing_down(**times):
    """Refuse times (n,) of which each is not below the one before, as a sampler stops at them, or one lies below 0, beyond
    the data. Raises ValueError."""
    tensors(**times)
    for name, at in times.items():
        if at.ndim != 1 or len(at) < 2 or not (at.diff() < 0).all() or not at[-1] > -1e-6:
            raise ValueError(
                f"{name} must be two times or more (n,), from noise down to data at 0 and each below the one before, as "
                "diffusion.down makes them"
            )


def same_mass(**tables):
    """Refuse tables of probabilities (n,) whose sums differ by more than rounding, numbers below 0, NaN and infinity.

    Raises ValueError.
    """
    for name, table in tables.items():
        if (table.detach() < 0).any():
            raise ValueError(f"{name} holds a probability below 0: {float(table.detach().min()):.6g}")
    sums = {name: float(table.detach().double().sum()) for name, table in tables.items()}
    if not all(
        math.isclose(each, next(iter(sums.values())), rel_tol=1e-5) and math.isfinite(each) for each in sums.values()
    ):
        found = ", ".join(f"{name} {each:.6g}" for name, each in sums.items())
        raise ValueError(f"nothing can carry one of these to the other, because their sums differ: {found}")


def distances(**tables):
    """Refuse tables (n, n) that are no distances of points: not 0 from a point to itself, not symmetric, or a detour is shorter.

    Raises ValueError.
    """
    for name, ways in tables.items():
        ways = ways.detach().double()
        slack = 1e-6 * float(ways.abs().max()) if ways.numel() else 0.0
        if (ways.diagonal().abs() > slack).any() or ((ways - ways.T).abs() > slack).any():
            raise ValueError(f"{name} must hold distances: 0 from a point to itself, and as far back as forth")
        if any((ways > ways[:, [stop]] + ways[stop] + slack).any() for stop in range(len(ways))):
            raise ValueError(f"{name} must hold distances, and some way is longer than a detour over another point")


def distributions(dim=None, **tables):
    """Refuse tables that do not sum to 1 over `dim`, or over all entries where it is None, such as counts, or hold less
    than 0.

    With a dim a distribution may also be 0 throughout: a conditional whose condition has no mass. Raises ValueError, on
    the CPU alone, for a GPU would wait, and not inside of torch.vmap, where there are no numbers to look at yet.
    TypeError for what is no tensor of real numbers.
    """
    tensors(**tables)
    for name, table in tables.items():
        sums = table.detach().sum() if dim is None else table.detach().sum(dim)
        fits = (sums - 1).abs() <= 1e-4 if dim is None else ((sums - 1).abs() <= 1e-4) | (sums == 0)
        if table.device.type == "cpu" and not _known(fits):
            over = "over all entries (dim names the axes to sum over instead)" if dim is None else f"over dim={dim}"
            found = f"{float(sums.min()):.6g}" if dim is None else f"{float(sums.min()):.6g} to {float(sums.max()):.6g}"
            raise ValueError(f"{name} must sum to 1 {over}, and sums to {found}; counts divided by their sum do")
        if table.device.type == "cpu" and not _known(table.detach() >= -1e-6):
            raise ValueError(f"{name} holds {float(table.min()):.3g}, and probabilities are 0 or more")


def no_negative(**tables):
    """Refuse probabilities, variances and the like below 0; NaN passes. Raises ValueError, where `distributions` does."""
    for name, table in tables.items():
        if table.device.type == "cpu" and not _known(~(table.detach() < 0)):
            raise ValueError(f"{name} holds {float(table.min()):.3g}, and must be 0 or more everywhere")


def _known(fits):
    """Whether all fit; True where torch.vmap has no numbers yet."""
    try:
        return bool(fits.all())
    except RuntimeError:
        return True


def only_bits(**given):
    """Refuse what is not 0 or 1 throughout, such as gray values. Raises ValueError, on the CPU alone: a GPU would wait."""
    for name, x in given.items():
        if x.device.type == "cpu" and not ((x == 0) | (x == 1)).all():
            wish = "binarize(x, rng) makes bits of gray values"
            raise ValueError(
                f"{name} must be bits, 0 or 1, and holds values from {x.min():.3g} to {x.max():.3g}; {wish}"
            )


def truth_values(**given):
    """Refuse what is not made of True and False: ~ turns 0 and 1 into -1 and -2. Raises TypeError."""
    for name, x in given.items():
        if x.dtype != torch.bool:
            raise TypeError(f"{name} must be made of True and False, not of {x.dtype}; {name}.bool() makes them")


def permutations(**given):
    """Refuse rows (n, d) that do not hold 0..d-1 once each. Raises ValueError, on the CPU alone: a GPU would wait."""
    for name, rows in given.items():
        if rows.device.type == "cpu" and not (rows.sort(-1).values == torch.arange(rows.shape[-1])).all():
            raise ValueError(f"each row of {name} must hold the numbers 0 to {rows.shape[-1] - 1} once each")


def among(levels, **given):
    """Refuse what is none of the levels (k,), up to rounding, and NaN; and levels that are none. Raises ValueError."""
    filled(levels=levels)
    finite("a level is a number that a pixel can have", levels=levels)
    for name, x in given.items():
        levels = levels.to(x).sort().values
        slack = 1e-3 * float(levels.diff().min()) if len(levels) > 1 else 1e-6
        after = torch.searchsorted(levels, x.contiguous()).clamp(max=len(levels) - 1)
        near = torch.minimum((x - levels[after]).abs(), (x - levels[(after - 1).clamp(min=0)]).abs())
        if not (near <= slack).all():
            raise ValueError(
                f"{name} must hold the {len(levels)} levels alone, from {levels[0]:.4g} to {levels[-1]:.4g}, and holds "
                f"others, from {x.min():.4g} to {x.max():.4g}"
            )


def within_unit(**given):
    """Refuse numbers outside [0, 1], and NaN. Raises ValueError, on the CPU alone: a GPU would wait."""
    for name, x in given.items():
        if x.device.type == "cpu" and not ((x >= 0) & (x <= 1)).all():
            raise ValueError(
                f"{name} must lie in [0, 1], as torch.rand draws it, and reaches from {x.min():.3g} to {x.max():.3g}"
            )


def away_from_zero(advice, **given):
    """Refuse divisors that are 0 or nearly so, with advice. Raises ValueError, on the CPU alone: a GPU would wait."""
    for name, x in given.items():
        if x.device.type == "cpu" and not (x.abs() > 1e-6).all():
            raise ValueError(f"the {name} is 0, and nothing follows from a division by it; {advice}")


def within_span(span, **pictures):
    """Refuse pictures whose values do not have the `span` that is claimed for them: much more, or at most 1 of 255.

    Raises ValueError.
    """
    for name, x in pictures.items():
        reach = float(x.detach().amax() - x.detach().amin()) if x.numel() else 0.0
        if reach > 1.5 * span or 0 < reach <= 2 < span:
            raise ValueError(
                f"the values of {name} reach over {reach:.4g}, and span={span:g}; say span=255 for 0 to 255, span=2 for "
                "-1 to 1, or bring the pictures to [0, 1]"
            )


def probabilities(**given):
    """Refuse numbers outside [0, 1], and NaN. Raises ValueError, where `distributions` does."""
    for name, x in given.items():
        if x.device.type == "cpu" and not _known((x.detach() >= 0) & (x.detach() <= 1)):
            raise ValueError(
                f"{name} holds probabilities, from 0 to 1, and reaches from {x.min():.4g} to {x.max():.4g}"
            )


def labels_within(y, classes=None, rows=None):
    """The labels y (n,), after making sure that they are whole numbers, where given from 0 to classes - 1, one for each of `rows`.

    Raises TypeError or ValueError otherwise. The range is checked on the CPU alone; a GPU would have to wait for it.
    """
    _no_array("y", y)
    tensors(y=y)
    if y.dtype != torch.int64:
        raise TypeError(f"labels are whole numbers (int64), not {y.dtype}; use y.long()")
    if y.ndim != 1 or (rows is not None and len(y) != rows):
        raise ValueError(f"labels have the shape ({'n' if rows is None else rows},), one per row, not {tuple(y.shape)}")
    if classes and y.device.type == "cpu" and len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise ValueError(f"labels run from 0 to {classes - 1}; these run from {int(y.min())} to {int(y.max())}")
    return y


def semidefinite(**covariances):
    """Refuse matrices (d, d) that are no covariances: not symmetric, not finite, or with a negative variance along some
    direction, beyond rounding. Raises ValueError."""
    for name, cov in covariances.items():
        one_matrix(**{name: cov})
        _symmetric(name, cov, "symmetric and finite")
        cov, slack = cov.double(), 1e-4 * float(cov.abs().max())
        lifted = cov + slack * torch.eye(len(cov), dtype=cov.dtype, device=cov.device)
        if not torch.linalg.cholesky_ex(lifted).info:  # much cheaper than the eigenvalues
            continue
        if (least := float(torch.linalg.eigvalsh(cov).min())) < -slack:
            raise ValueError(f"{name} is no covariance: along one direction it has the variance {least:.3g}")


def one_matrix(**matrices):
    """Refuse what is not one matrix, such as a stack of them. Raises ValueError."""
    for name, matrix in matrices.items():
        if matrix.ndim != 2:
            raise ValueError(f"{name} is one matrix (d, d), not of shape {tuple(matrix.shape)}")


def without_batchnorm(**networks):
    """Refuse networks in training mode that hold BatchNorm, where rows of several kinds pass in one batch. ValueError."""
    _untied(
        networks,
        "must hold no BatchNorm: its statistics would be those of all kinds of rows together; use LayerNorm, GroupNorm or no "
        "norm",
    )


def on_unit_sphere(**codes):
    """Refuse codes (n, k) whose rows are not of length 1: their product would be no cosine. On the CPU alone. ValueError."""
    for name, z in codes.items():
        if z.device.type == "cpu" and ((z.detach().norm(dim=1) - 1).abs() > 1e-3).any():  # NaN has a message of its own
            raise ValueError(
                f"{name} must have length 1, as age.on_sphere(rows) makes them, and theirs are from "
                f"{z.norm(dim=1).min():.3g} to {z.norm(dim=1).max():.3g}"
            )


def in_this_order(modules, *names):
    """Refuse a ModuleDict whose networks stand in another order than that in which they are taken out. ValueError."""
    if tuple(modules) != names:
        raise ValueError(f"these networks must be {' and '.join(names)}, in this order, not {' and '.join(modules)}")


def alone(**networks):
    """Refuse networks in training mode whose BatchNorm would let one row depend on the others. ValueError."""
    _untied(
        networks,
        "holds BatchNorm in training mode, and what it makes of a row hangs on the others: call nets.eval() before, "
        "nets.train() after",
    )


def row_by_row(network):
    """Refuse a network in training mode that ties the rows of a batch together by BatchNorm. Raises ValueError."""
    if _tied(network):
        raise ValueError(
            "the slope of a score in its own row has no meaning under BatchNorm, which makes every score depend on all "
            "rows; use LayerNorm, GroupNorm or no norm, or call eval() on the network"
        )


def _untied(networks, why):
    for name, network in networks.items():
        if _tied(network):
            raise ValueError(f"the {name} {why}")


def _tied(network):
    """Whether BatchNorm in training mode makes what a network gives for a row depend on the others."""
    layers = network.modules() if isinstance(network, torch.nn.Module) else ()
    return any(isinstance(layer, torch.nn.modules.batchnorm._BatchNorm) and layer.training for layer in layers)


def positive_definite(**covariances):
    """Refuse matrices (d, d) that are no covariances: not symmetric, or an eigenvalue that is not above 0. ValueError."""
    for name, cov in covariances.items():
        wish = "symmetric, finite and positive definite"
        _symmetric(name, cov, wish)
        if torch.linalg.cholesky_ex(cov.detach()).info.any() or torch.linalg.inv_ex(cov.detach()).info.any():
            raise ValueError(f"{name} is no covariance: it must be {wish}")  # rounding may hide from one what both see


def _symmetric(name, cov, wish):
    """Refuse what is no symmetric matrix (d, d) up to rounding, d >= 1, or holds NaN; of a stack of them the same."""
    if cov.ndim < 2 or cov.shape[-1] != cov.shape[-2] or not cov.numel():
        raise ValueError(f"{name} is a square matrix, not of shape {tuple(cov.shape)}; torch.diag makes one")
    if not (cov - cov.mT).detach().abs().amax() <= 1e-4 * cov.detach().abs().amax():
        raise ValueError(f"{name} is no covariance: it must be {wish}")
