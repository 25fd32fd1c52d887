# What dnf makes of addresses. A line of input is an address, an rpm architecture and a releasever.
import sys

import dnf
import dnf.rpm
import libdnf

base = dnf.Base()
for line in sys.stdin:
    address, arch, releasever = line.split()
    variables = base.conf.substitutions
    variables.update(arch=arch, basearch=dnf.rpm.basearch(arch), releasever=releasever)
    print(libdnf.conf.ConfigParser.substitute(address, variables))
