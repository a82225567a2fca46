import sqlite3

import weft


@weft.python_app
def simulate(seed: int) -> int:
    return seed * seed


@weft.python_app
def fit(value: int) -> float:
    return 1 / value


config = weft.Config(
    retries=1, monitors=[weft.monitor("log"), weft.monitor("sql", name="survey", keep_days=90)]
)
with weft.load(config) as session:
    fits = [fit(simulate(seed)) for seed in range(4)]
    session.wait()
    database = session.run_folder.parent / "weft.db"


def show(title: str, query: str) -> None:
    print(title)
    for row in sqlite3.connect(database).execute(query):
        print("   ", *row)


show(
    "how did it go?",
    """SELECT name, done, failed, missed_events FROM run ORDER BY run DESC LIMIT 1""",
)
show(
    "which tasks failed, after how many tries, and what did they wait for?",
    """SELECT t.app, t.task, t.attempt, t.detail, n.app, n.state
       FROM task AS t
       JOIN edge AS e ON e.run = t.run AND e.task = t.task
       JOIN task AS n ON n.run = e.run AND n.task = e.needs
       WHERE t.state = 'failed' ORDER BY t.task""",
)
show(
    "how did each try of them end?",
    """SELECT task, attempt, outcome, error FROM try
       WHERE outcome IN ('error', 'failed') ORDER BY task, attempt""",
)
show(
    "how often was each state entered?",
    """SELECT state, count(*) FROM state GROUP BY state ORDER BY state""",
)
