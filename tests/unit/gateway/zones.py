"""What Python's zoneinfo says of zones: one line "zone instant offset" for each sample, the instants in seconds since 1970.

Python 3.9's standard library reads the same files with a reader of its own; windows are then checked against these offsets by
their definition."""
import datetime
import random
import sys
import zoneinfo

rng = random.Random(5)
names = sorted(n for n in zoneinfo.available_timezones() if not n.startswith(("right/", "posix/", "localtime", "Factory")))
UTC = datetime.timezone.utc
for name in names:
    zone = zoneinfo.ZoneInfo(name)
    for _ in range(int(sys.argv[1])):
        at = rng.randrange(-2200000000, 5000000000)  # 1900 to 2128
        moment = datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(seconds=at)
        print(name, at, int(moment.astimezone(zone).utcoffset().total_seconds()))
