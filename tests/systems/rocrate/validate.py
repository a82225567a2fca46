"""Holds a crate against a profile, offline; runs where rocrate_validator is installed.

    python validate.py CRATE PROFILE CONTEXTS CACHE

CONTEXTS is a JSON file of contexts by their addresses, which the validator finds in its cache as if
it had asked for them. Prints the checks that failed, as JSON.
"""

import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def seed(contexts: dict[str, Any], cache: str) -> None:
    """Have the cache hold contexts."""
    requests: Any = importlib.import_module("requests")
    cached: Any = importlib.import_module("requests_cache")
    urllib3: Any = importlib.import_module("urllib3")

    def send(_adapter: object, request: Any, **_options: Any) -> Any:
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response.headers["Content-Type"] = "application/ld+json"
        body = io.BytesIO(json.dumps(contexts[request.url]).encode())
        response.raw = urllib3.HTTPResponse(
            body, status=200, headers=response.headers, preload_content=False
        )
        return response

    session = cached.CachedSession(cache_name=cache, expire_after=-1, allowable_codes=[200])
    session.mount("https://", type("Given", (requests.adapters.HTTPAdapter,), {"send": send})())
    for url in contexts:
        session.get(url)
    session.close()


def main(place: str, profile: str, contexts: str, cache: str) -> None:
    """Validate, and say what failed."""
    seed(json.loads(Path(contexts).read_text(encoding="utf-8")), cache)
    services: Any = importlib.import_module("rocrate_validator.services")
    models: Any = importlib.import_module("rocrate_validator.models")
    settings = models.ValidationSettings(
        rocrate_uri=place,
        profile_identifier=profile,
        requirement_severity="RECOMMENDED",
        offline=True,
        cache_path=Path(cache),
        cache_max_age=-1,
    )
    result = services.validate(settings)
    issues = [
        {
            "check": issue.check.identifier,
            "severity": issue.severity.name,
            "message": str(issue.message),
            "entity": str(getattr(issue, "violatingEntity", "")),
        }
        for issue in result.get_issues()
    ]
    json.dump(issues, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
