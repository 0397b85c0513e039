"""Breakages of how streams are read: manifests, folders, and what in them is free."""

from tests.mutants.mutant import Mutant

MPD, TIMELINE, TEMPLATE = (f"streamlimit/delivery/{name}.py" for name in ("mpd", "timeline", "template"))
FREE, NAMES = "streamlimit/delivery/free.py", ("tests/delivery/test_free.py",)
READ, TIMES = ("tests/delivery/test_mpd.py",), ("tests/delivery/test_dash_times.py",)

GAPS, GONE_ON = "streamlimit/web/gaps.py", ("tests/web/test_segments.py", "-k", "goes or links_out")

DASH = "streamlimit/delivery/dash.py"
FOLDERS, ENTRY, SURVEY = (f"streamlimit/delivery/{name}.py" for name in ("folders", "entry", "survey"))
MOUNTS = ("tests/delivery/test_folders.py",)

MUTANTS = [
    Mutant(
        "a period ends so long after 0 whatever its media's clock shows",
        TIMELINE,
        "    return begin + span.seconds * rules.timescale\n",
        "    return span.seconds * rules.timescale\n",
        TIMES,
    ),
    Mutant(
        "a segment before its period is issued",
        TIMELINE,
        "if s.time + s.ticks > begin + slack and ",
        "if ",
        TIMES,
    ),
    Mutant(
        "a startNumber of 0 is none",
        TIMELINE,
        "        return 1 if found is None else found\n",
        "        return found or 1\n",
        TIMES,
    ),
    Mutant(
        "a live segment is numbered by its media's own clock",
        TIMELINE,
        "    if span.start is None or since",
        "    if span.start is not None or since",
        TIMES,
    ),
    Mutant(
        "a document type is read",
        MPD,
        "        self._parser.StartDoctypeDeclHandler = self._doctype\n",
        "",
        READ,
    ),
    Mutant(
        "elements of other namespaces are taken for ours",
        MPD,
        '        return namespace in ("", self._namespace) or ',
        "        return True or ",
        READ,
    ),
    Mutant(
        "text in elements that we skip is text of those around them",
        MPD,
        "    def _characters(self, text: str) -> None:\n        if len(self._kept) == len(self._open):\n",
        "    def _characters(self, text: str) -> None:\n        if self._kept:\n",
        READ,
    ),
    Mutant(
        "live periods share what is on disk",
        TEMPLATE,
        "        return self.rules.start <= number and (",
        "        return True or (",
        TIMES,
    ),
    Mutant(
        "a file of an unknown kind is free",
        FREE,
        '    return "other" if suffix in FREE_SUFFIXES else "media"\n',
        '    return "media" if suffix in (".ts", ".m4s", ".mp4") else "other"\n',
        NAMES,
    ),
    Mutant(
        "a renamed film is free",
        FREE,
        "    return file.size > MAX_FREE or _begins_like_media(file.head(_HEAD))\n",
        "    return file.size > MAX_FREE\n",
        NAMES,
    ),
    Mutant(
        "an init that holds the film is free",
        FREE,
        "file.size > MAX_INIT or _has_samples(file.head(file.size))",
        "file.size > MAX_INIT",
        NAMES,
    ),
    Mutant(
        "subtitles in MP4 take a seat",
        FREE,
        '        return what != "playlist" and file.size > MAX_FREE\n',
        '        return what != "playlist" and (file.size > MAX_FREE or _begins_like_media(file.head(_HEAD)))\n',
        NAMES,
    ),
    Mutant(
        "Endpoint 1 waits for a file that is missing",
        GAPS,
        "                chosen = stream.after(chosen.sequence)\n",
        "                pass\n",
        GONE_ON,
    ),
    Mutant(
        "a stream without any file is over",
        GAPS,
        " or first == stream.after(None)):",
        "):",
        GONE_ON,
    ),
    Mutant(
        "a folder's time of change is believed for ever",
        FOLDERS,
        "stamp == self._stamp and now < self._list_due:",
        "stamp == self._stamp:",
        MOUNTS,
    ),
    Mutant(
        "every unknown id is looked for on the disk",
        FOLDERS,
        "        self._looks -= 1\n",
        "",
        MOUNTS,
    ),
    Mutant(
        "new live numbers are found only where the folder's time changes",
        ENTRY,
        "        return live and self.lists_folders and ",
        "        return False and ",
        MOUNTS,
    ),
    Mutant(
        "nobody looks at the last segment",
        SURVEY,
        "(segments[0], segments[-1])",
        "(segments[0],)",
        MOUNTS,
    ),
    Mutant(
        "a live manifest that is bad for long takes its stream off the air",
        DASH,
        "        reader.keep(path, GOOD, root)\n",
        "        pass\n",
        READ,
    ),
    Mutant(
        "one representation that makes no sense costs all of them",
        DASH,
        "            listing.failures[place.slot] = str(broken(path, problem))\n",
        "            raise broken(path, problem) from None\n",
        READ,
    ),
    Mutant(
        "one link in a circle hides all streams",
        FOLDERS,
        "    except OSError:\n        return False\n",
        "    except FileNotFoundError:\n        return False\n",
        MOUNTS,
    ),
    Mutant(
        "a folder of streams that cannot be listed is an empty one",
        FOLDERS,
        "            self._stamp = None\n            return None\n",
        "            return set()\n",
        MOUNTS,
    ),
    Mutant(
        "a variable doubles with each line",
        "streamlimit/delivery/hls_tags.py",
        "if any(len(value) > MOST_VALUE ",
        "if any(not value ",
        ("tests/delivery/test_hls_lenient.py", "-k", "double"),
    ),
    Mutant(
        "as many bytes are read as a manifest says",
        "streamlimit/delivery/reader.py",
        "min(last + 1, os.fstat(file.fileno()).st_size, first + MAX_PLAYLIST)",
        "last + 1",
        READ,
    ),
    Mutant(
        "a long live playlist forgets its variables as it grows",
        "streamlimit/delivery/media_playlist.py",
        "    media.variables = before.variables.copied()\n",
        "    media.variables = Variables()\n",
        ("tests/delivery/test_hls_lenient.py", "-k", "variables"),
    ),
    Mutant(
        "words that are names of boxes make a text a film",
        FREE,
        " and int.from_bytes(head[:4]) <= _LARGEST_BOX:",
        ":",
        NAMES,
    ),
]
