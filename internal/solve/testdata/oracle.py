#!/usr/bin/python3
"""Asks dnf what it would install into an empty root, many times over one set of repositories.

usage: oracle.py ARCH EMPTY-DIRECTORY NAME=URL...

Reads a request a line, {"install": [...], "exclude": [...]}, and writes an answer a line, {"packages": [...]} with the
NEVRAs in no order, or {"error": "..."}. Weak dependencies are not installed.
"""
import json
import os
import sys

import dnf
import dnf.exceptions
import dnf.util


def load(arch, root, repositories):
    base = dnf.Base()
    base.conf.installroot = root
    base.conf.cachedir = os.path.join(root, "cache")
    base.conf.persistdir = os.path.join(root, "persist")
    base.conf.logdir = os.path.join(root, "log")
    os.makedirs(base.conf.logdir, exist_ok=True)
    base.conf.reposdir = ["/nonexistent"]
    base.conf.install_weak_deps = False
    base.conf.gpgcheck = False
    base.conf.substitutions["arch"] = arch
    base.conf.substitutions["basearch"] = arch
    base.conf.substitutions["releasever"] = "9"
    base.conf.arch = arch
    for repository in repositories:
        name, url = repository.split("=", 1)
        base.repos.add_new_repo(name, base.conf, baseurl=[url])
    base.fill_sack(load_system_repo=False)
    return base


def answer(base, request):
    base.reset(goal=True)
    base.sack.reset_excludes()
    for spec in request.get("exclude") or []:
        query = dnf.subject.Subject(spec).get_best_query(base.sack, with_nevra=True, with_provides=False, with_filenames=False)
        base.sack.add_excludes(query)
    try:
        for spec in request["install"]:
            base.install(spec)
    except dnf.exceptions.Error as e:
        return {"error": str(e)}
    goal = base._goal
    if not goal.run(allow_uninstall=False, force_best=False, ignore_weak_deps=True):
        return {"error": dnf.util._format_resolve_problems(goal.problem_rules())}
    return {"packages": ["%s-%s.%s" % (p.name, p.evr, p.arch) for p in goal.list_installs()]}


def main():
    base = load(sys.argv[1], sys.argv[2], sys.argv[3:])
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(base, json.loads(line))), flush=True)


main()
