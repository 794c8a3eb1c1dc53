"""Where the images of a data set come from: the repository, a prepared folder, a download."""

import pathlib

from cnnlib.datasets import download, embedded, prepared
from cnnlib.datasets.catalogue import Info
from cnnlib.errors import InputError, Unavailable


def sample(info: Info) -> embedded.Whole | embedded.Sheets | embedded.Pictures:
    """Return the repository's sample of a data set.

    Raises:
        InputError: there is none.
    """
    if info.name not in embedded.SAMPLES:
        whole = ": the repository carries it whole" if info.name in embedded.WHOLE else ""
        raise InputError(
            f"there is no sample of {info.name}{whole}. "
            f"There is one of {', '.join(embedded.SAMPLES)}."
        )
    return embedded.SAMPLES[info.name]


def folder(info: Info, allow_download: bool) -> pathlib.Path:
    """Return the prepared folder of a data set, downloaded if need be.

    It is not for sets that the repository carries whole: prepared by TFDS they would have another
    order.

    Raises:
        Unavailable: the data set is not available here. The message lists what can be done.
    """
    found = prepared.find(info)
    if found:
        return found
    try:
        if not allow_download:
            raise Unavailable("downloads are switched off (download=False)")
        return download.prepare(info)
    except Unavailable as error:
        known = "use a data set that the repository carries: " + ", ".join(embedded.WHOLE)
        if info.name in embedded.SAMPLES:
            known = "use the repository's sample of it, with sample=True; or " + known
        raise Unavailable(
            f"{info.title} ({info.name}) is not available on this machine. Tried: "
            f"no prepared folder {prepared.data_folder() / info.tfds_name}; {error}.\n"
            "What you can do:\n"
            f"1. connect to the internet and run again, or `python -m cnnlib data fetch "
            f"{info.name}`;\n"
            "2. bring it from a machine that has it: there `python -m cnnlib data bundle "
            f"{info.name} -o FILE`, here `python -m cnnlib data unpack FILE`; or copy the prepared "
            f"TFDS folder, {info.tfds_name}/<version>, and set CNNLIB_DATA to the folder that has "
            "it in tfds/, or TFDS_DATA_DIR to the folder that has it directly;\n"
            f"3. {known}."
        ) from error
