"""The published numbers: color_s4l/published.csv, with source, table and remarks.

The file stands in the package, where the report finds it once installed; the one here
is a link to it.
"""

import pandas as pd

from color_s4l.report.published import comparable, published_method_of, read

# Of the data sets that the tables are about.
TRAINING_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "svhn_cropped": 73_257}
TEST_IMAGES = {"cifar10": 10_000, "cifar100": 10_000, "svhn_cropped": 26_032}


def beside(dataset: str, labels: int, method: str, network: str) -> pd.DataFrame:
    """The numbers that a measured one may be compared with.

    Args:
        dataset: As in `--dataset`.
        labels: In total.
        method: Of `published_method_of`.
        network: As in `--network`; rows that name none are taken too.

    Returns:
        Rows of `read`, valid ones only, in the order of the file.
    """
    table = comparable(dataset, labels)
    return table[(table["method"] == method) & table["network"].isin([network, ""])]


__all__ = ["TEST_IMAGES", "TRAINING_IMAGES", "beside", "published_method_of", "read"]
