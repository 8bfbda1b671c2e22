"""The chapters of the course, in one list: number, module name, title. Everything that counts chapters reads it here.

A chapter may be written before its predecessors, and one that is planned has a number and a name already.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chapter:
    """One chapter: its number, the name that all of its files share, its title, and whether its notebook stands."""

    number: int
    name: str
    title: str
    written: bool = True

    @property
    def folder(self):
        """Number and name, as its notebook and its figures are filed: "05_gan"."""
        return f"{self.number:02d}_{self.name}"


CHAPTERS = (
    Chapter(0, "start", "start"),
    Chapter(1, "joint_kl", "the KL of two joints"),
    Chapter(2, "em", "EM"),
    Chapter(3, "vae", "VAE"),
    Chapter(4, "conditional_vae", "conditional VAE"),
    Chapter(5, "gan", "GAN"),
    Chapter(6, "dcgan", "DCGAN"),
    Chapter(7, "conditional_gan", "conditional GAN"),
    Chapter(8, "aae", "AAE"),
    Chapter(9, "ali", "ALI"),
    Chapter(10, "regularized_gan", "regularized GAN"),
    Chapter(11, "evaluation", "evaluation"),
    Chapter(12, "wgan_gp", "WGAN-GP"),
    Chapter(13, "age", "AGE"),
    Chapter(14, "alpha_gan", "alpha-GAN"),
    Chapter(15, "autoregressive", "autoregressive"),
    Chapter(16, "diffusion", "diffusion"),
    Chapter(17, "one_map", "one map"),
)


def chapter(id):
    """The chapter that owns `id`, its number or a number within it: chapter("5.2") and chapter("05") are GAN's.

    Raises ValueError if there is no such chapter, and for 14.10 without quotes, which would be 14.1.
    """
    if isinstance(id, float):
        raise ValueError(f'ids stand in quotes, such as "{id}", and this is the number {id}')
    first = str(id).split(".")[0]
    if not first.isdecimal() or int(first) >= len(CHAPTERS):
        raise ValueError(f"{id!r} belongs to no chapter; ids begin with a chapter number, 0 to {len(CHAPTERS) - 1}")
    return CHAPTERS[int(first)]
