"""A feed of our own on loopback: three races of a small season, an exhibition, one to come; faults on request."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from race_files import DRIVERS

LIST = "/cacher/2031/race_list_basic.json"


def listed(feed_id, name, date, track="Oakfield Motor Speedway", **changed) -> dict:
    entry = {
        "race_id": feed_id,
        "series_id": 1,
        "race_season": 2031,
        "race_name": name,
        "race_type_id": 1,
        "restrictor_plate": False,
        "track_name": track,
        "race_date": f"{date}T15:00:00",
        "scheduled_distance": 15.0,
        "scheduled_laps": 10,
        "actual_laps": 10,
        "winner_driver_id": 100,
    }
    return {**entry, **changed}


SEASON = {
    "series_1": [
        listed(13, "Bristol  13", "2031-03-30", "Bristol Motor Speedway"),
        listed(10, "The Shootout", "2031-02-02", race_type_id=2),
        listed(11, "Oakfield 10", "2031-02-16"),
        listed(12, "Daytona 10", "2031-02-23", "Daytona International Speedway"),
        listed(14, "Oakfield Autumn", "2031-11-02", winner_driver_id=None, actual_laps=0),
    ],
    "series_2": [listed(21, "Oakfield 200", "2031-02-15")],
}


def driver(n, finish, **changed) -> dict:
    row = {
        "finishing_position": finish,
        "starting_position": 12 - n,
        "car_number": str(n),
        "driver_fullname": DRIVERS[n],
        "driver_id": 100 + n,
        "team_name": f"Team {n % 3} ",
        "car_make": "Ford",
        "qualifying_position": 12 - n,
        "qualifying_speed": 130.5,
        "laps_led": 10 if n == 0 else 0,
        "laps_completed": 10,
        "finishing_status": "Running",
        "points_earned": 40 - finish,
        "disqualified": False,
    }
    return {**row, **changed}


def weekend(feed_id=11, results=None, **changed) -> dict:
    race = {
        "race_id": feed_id,
        "number_of_cautions": 1,
        "number_of_caution_laps": 2,
        "number_of_lead_changes": 0,
        "number_of_leaders": 1,
        "results": [driver(n, n + 1) for n in range(12)] if results is None else results,
        "caution_segments": [{"start_lap": 4, "end_lap": 5, "reason": "Accident"}],
    }
    practice = [{"driver_id": 100 + n, "best_lap_time": 15 + n / 10} for n in range(12)]
    runs = [{"run_type": 1, "results": practice}, {"run_type": 2, "results": []}]
    return {"weekend_race": [{**race, **changed}], "weekend_runs": runs}


def loop(feed_id=11) -> list:
    rows = [
        {"driver_id": 100 + n, "fast_laps": 5 if n == 0 else int(n < 3), "rating": 90.5 - n, "avg_ps": n + 1.5}
        for n in range(12)
    ]
    return [{"race_id": feed_id, "drivers": rows}]


def laps() -> dict:
    """Lap times in which driver 0 is fastest on odd laps and driver 1 on even ones; laps 4 and 5 under yellow."""
    cars = [
        {
            "NASCARDriverID": 100 + n,
            "Laps": [
                {"Lap": lap, "LapTime": 15 + (n if lap % 2 else abs(n - 1)) if lap else None} for lap in range(11)
            ],
        }
        for n in range(12)
    ]
    flags = [{"LapsCompleted": lap, "FlagState": {0: 8, 4: 2, 5: 2, 10: 4}.get(lap, 1)} for lap in range(11)]
    return {"laps": cars, "flags": flags}


def files() -> dict[str, bytes]:
    answers = {LIST: SEASON}
    for feed_id in (11, 12, 13):
        answers[f"/cacher/2031/1/{feed_id}/weekend-feed.json"] = weekend(feed_id)
        answers[f"/loopstats/prod/2031/1/{feed_id}.json"] = loop(feed_id)
    answers["/cacher/2031/2/21/weekend-feed.json"] = weekend(21)
    return {path: json.dumps(content).encode() for path, content in answers.items()}


class Server:
    """What is served, which faults come first for a path, and what was asked for.

    A fault is a status, `"hang"`, bytes, or a function that answers by itself, given the handler.
    """

    def __init__(self, content):
        self.content, self.faults, self.asked, self.agents = content, {}, [], set()
        self.url, self.release = "", threading.Event()

    def answer(self, path: str):
        self.asked.append(path)
        waiting = self.faults.get(path, [])
        fault = waiting.pop(0) if waiting else None
        if fault == "hang":
            self.release.wait(5)
            fault = 503
        if isinstance(fault, int):
            return fault, b"<html>error</html>"
        if fault is not None:
            return 200, fault
        return (200, self.content[path]) if path in self.content else (404, b"not here")


@contextmanager
def serving(content=None):
    """Yield a running `Server` on a free port of loopback."""
    server = Server(files() if content is None else content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.agents.add(self.headers.get("User-Agent"))
            status, body = server.answer(self.path)
            try:
                if callable(body):
                    return body(self)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        server.release.set()
        http.shutdown()
        http.server_close()
