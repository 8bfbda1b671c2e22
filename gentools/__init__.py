"""Generative Models from One Joint KL: the course's mathematics as a library."""

CHAPTERS = ("start", "joint_kl", "em", "vae", "conditional_vae", "gan")


def chapter_of(id):
    """Folder and module name of the chapter that owns `id`: chapter_of("1.3") == ("01_joint_kl", "joint_kl")."""
    number = int(str(id).split(".")[0])
    return f"{number:02d}_{CHAPTERS[number]}", CHAPTERS[number]
