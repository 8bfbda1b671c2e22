"""What a notebook runs with: its scale and its device, chosen once in the setup cell."""

import os

scale, device = "quick", "cpu"  # what `setup` chose last


def setup(wanted="quick"):
    """Prepare a notebook: the house style, torch's threads, and one line on what it runs with. Returns (scale, device).

    wanted: "quick", a laptop's size, or "full", the sources' own, which wants a GPU; the environment variable
    GENTOOLS_SCALE overrides it. device: "cuda" where there is one, else "cpu". OMP_NUM_THREADS, where set to a
    positive number, is the number of torch's threads. Raises ValueError on any other scale.
    """
    global scale, device
    from importlib.metadata import version

    import torch

    from gentools.lab import plots

    chosen = os.environ.get("GENTOOLS_SCALE", wanted)
    if chosen not in ("quick", "full"):
        raise ValueError(
            f"the scale is {chosen!r}; gentools.setup takes 'quick' or 'full', and GENTOOLS_SCALE, if set, overrides it"
        )
    scale, device = chosen, best_device()
    plots.style()
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 0:
        torch.set_num_threads(int(threads))
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"gentools {version('gentools')}, torch {torch.__version__}, {name}, scale {scale}")
    if scale == "full" and device == "cpu":
        print(
            "There is no GPU here, and full scale on a CPU takes hours. On Colab choose Runtime, Change runtime type, "
            "a GPU, and run this cell again; elsewhere the recorded figures show what it gives."
        )
    return scale, device


def best_device():
    """ "cuda" where torch finds one, else "cpu": the GPU of a Mac has no double precision, in which figures measure."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def shows_progress():
    """Whether a loop here should draw a bar: on a terminal, and in a notebook at full scale; never under TQDM_DISABLE."""
    import sys

    if "TQDM_DISABLE" in os.environ:
        return False
    return sys.stderr.isatty() or (scale == "full" and "ipykernel" in sys.modules)
