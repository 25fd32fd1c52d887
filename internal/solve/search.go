package solve

import (
	"cmp"
	"slices"
)

// maxConflicts limits how often the search may run into a conflict before it gives up.
const maxConflicts = 200_000

// search looks for a set of packages that fulfils all clauses: conflict-driven clause learning. What makes the answer
// a good one is what is decided, and in which order: first the request, then each open requirement that leaves one
// sensible choice, then the others; each time the policy says what to take. At the end choices that later turned out
// to be needless are taken back. Both orders are libsolv's, so that the answers are dnf's.
type search struct {
	clauses  []clause
	requests [2]int // range of those of the request
	first    int    // the clauses from here on are learnt
	parents  [][]int32

	value   []int32 // by package: the level at which it was decided, negative when decided against; 0 when open
	reason  []int32 // by package: the clause that forced it, or minus the clause it was chosen for
	trail   []int32 // literals in the order they were decided
	done    int     // how much of the trail has been propagated
	watched []int32 // by literal: the first clause that watches it

	branches []branch
	policy   *policy
	notes    map[int32]string // why a package was chosen among several
	failure  []int32          // clauses that contradict each other at level 1, with the reasons of their literals
	budget   int
	gaveUp   bool

	seen []bool
	open []int32
}

// branch is a choice that was made: candidates other than the first may turn out to be needed anyway.
type branch struct {
	candidates []int32 // negative once tried
	clause     int32
	level      int32 // before the choice
}

// newSearch starts a search over packages below n. Without a policy the first candidate is taken.
func newSearch(n int, clauses []clause, requests [2]int, pol *policy) *search {
	s := &search{
		clauses: slices.Clone(clauses), requests: requests, first: len(clauses), policy: pol,
		value: make([]int32, n), reason: make([]int32, n), watched: make([]int32, 2*n), seen: make([]bool, n),
		notes: map[int32]string{}, budget: maxConflicts,
	}
	if pol != nil {
		pol.attach(s)
	}
	for i := len(s.clauses) - 1; i > 0; i-- {
		s.watch(int32(i))
	}
	return s
}

func at(lit int32) int32 {
	if lit < 0 {
		return -2*lit + 1
	}
	return 2 * lit
}

func abs(l int32) int32 {
	if l < 0 {
		return -l
	}
	return l
}

// truth is positive when lit holds, negative when it does not, 0 when it is open.
func (s *search) truth(lit int32) int32 {
	if lit < 0 {
		return -s.value[-lit]
	}
	return s.value[lit]
}

func (s *search) installed(id int32) bool { return s.value[id] > 0 }

// watch enters the clause in the lists of its first two literals, at the front.
func (s *search) watch(i int32) {
	c := &s.clauses[i]
	if len(c.lits) < 2 {
		return
	}
	c.watch = [2]int32{c.lits[0], c.lits[1]}
	for k, l := range c.watch {
		c.next[k] = s.watched[at(l)]
		s.watched[at(l)] = i
	}
}

// run reports whether there is a solution; it is what is then decided for.
func (s *search) run() bool {
	if !s.assert() || !s.settle(1, 0) {
		return false
	}
	level, system := int32(1), int32(2)
	for {
		if level < system {
			before := level
			if level = s.decideRequest(level); level < 0 {
				return false
			}
			if level < before {
				continue
			}
			system = level
		}
		before := level
		if level = s.decideOpen(level); level < 0 {
			return false
		}
		if level < before {
			continue
		}
		again, found := s.minimize()
		if !found {
			return true
		}
		if level = again; level < 0 {
			return false
		}
	}
}

// assert decides what clauses of a single literal say.
func (s *search) assert() bool {
	for i := 1; i < s.first; i++ {
		c := &s.clauses[i]
		switch {
		case len(c.lits) > 1:
		case len(c.lits) == 0:
			s.failure = []int32{int32(i)}
			return false
		case s.truth(c.lits[0]) == 0:
			s.decide(c.lits[0], 1, int32(i))
		case s.truth(c.lits[0]) < 0:
			s.failure = []int32{int32(i), s.reason[abs(c.lits[0])]}
			return false
		}
	}
	return true
}

func (s *search) decide(lit, level, reason int32) {
	if lit > 0 {
		s.value[lit] = level
	} else {
		s.value[-lit] = -level
	}
	s.reason[abs(lit)] = reason
	s.trail = append(s.trail, lit)
}

// propagate decides what follows. It returns a clause that cannot hold any more, or 0.
func (s *search) propagate(level int32) int32 {
	for s.done < len(s.trail) {
		lit := -s.trail[s.done]
		s.done++
		link := &s.watched[at(lit)]
		for *link != 0 {
			i := *link
			c := &s.clauses[i]
			k := 0
			if c.watch[1] == lit {
				k = 1
			}
			other := c.watch[1-k]
			if s.truth(other) > 0 {
				link = &c.next[k]
				continue
			}
			if l := s.replacement(c, other); l != 0 {
				*link = c.next[k]
				c.watch[k] = l
				c.next[k] = s.watched[at(l)]
				s.watched[at(l)] = i
				continue
			}
			if s.truth(other) < 0 {
				return i
			}
			s.decide(other, level, i)
			link = &c.next[k]
		}
	}
	return 0
}

// replacement is a literal to watch that is not false, or 0.
func (s *search) replacement(c *clause, other int32) int32 {
	for _, l := range c.lits {
		if l != other && s.truth(l) >= 0 {
			return l
		}
	}
	return 0
}

// settle propagates at level, and learns from conflicts until there is none. It reports failure at level 1, which is
// final. decision is decided first, unless it is 0, at the next level, for clause reason.
func (s *search) settle(level, decision int32) bool { return s.settleFor(level, decision, 0) > 0 }

func (s *search) settleFor(level, decision, reason int32) int32 {
	if decision != 0 {
		level++
		s.decide(decision, level, -reason)
	}
	for {
		c := s.propagate(level)
		if c == 0 {
			return level
		}
		s.budget--
		if s.budget < 0 {
			s.gaveUp = true
			return -1
		}
		if level == 1 {
			s.failure = []int32{c}
			return -1
		}
		level = s.learn(level, c)
	}
}

// learn finds what the conflict in clause c at level comes down to, goes back to where that would have mattered, and
// decides what follows from it there.
func (s *search) learn(level, c int32) int32 {
	lits := []int32{0}
	parents := []int32{}
	back, pending, i := int32(1), 0, len(s.trail)
	for {
		parents = append(parents, c)
		for _, l := range s.clauses[c].lits {
			v := abs(l)
			if s.seen[v] || s.truth(l) > 0 {
				continue
			}
			switch at := abs(s.value[v]); {
			case at == level:
				s.seen[v] = true
				pending++
			case at > 1:
				s.seen[v] = true
				lits = append(lits, l)
				back = max(back, at)
			}
		}
		for i--; !s.seen[abs(s.trail[i])] || abs(s.value[abs(s.trail[i])]) != level; i-- {
		}
		v := abs(s.trail[i])
		s.seen[v] = false
		pending--
		if pending == 0 {
			lits[0] = -s.trail[i]
			break
		}
		c = s.reason[v]
	}
	for _, l := range lits {
		s.seen[abs(l)] = false
	}
	s.revert(back)
	n := s.addLearnt(lits, parents)
	s.decide(lits[0], back, n)
	return back
}

func (s *search) addLearnt(lits, parents []int32) int32 {
	// The second watch has to become open again together with the first literal or after it.
	for i := 2; i < len(lits); i++ {
		if abs(s.value[abs(lits[i])]) > abs(s.value[abs(lits[1])]) {
			lits[1], lits[i] = lits[i], lits[1]
		}
	}
	s.clauses = append(s.clauses, clause{lits: lits, why: origin{kind: isLearnt}})
	s.parents = append(s.parents, parents)
	n := int32(len(s.clauses) - 1)
	s.watch(n)
	return n
}

// revert undoes all decisions above level, and the choices made at it or above.
func (s *search) revert(level int32) {
	s.undo(level)
	for len(s.branches) > 0 && s.branches[len(s.branches)-1].level >= level {
		s.branches = s.branches[:len(s.branches)-1]
	}
}

func (s *search) undo(level int32) {
	n := len(s.trail)
	for n > 0 && abs(s.value[abs(s.trail[n-1])]) > level {
		n--
		s.value[abs(s.trail[n])] = 0
	}
	s.trail = s.trail[:n]
	s.done = min(s.done, n)
	if s.policy != nil {
		s.policy.forget(n)
	}
}

// candidates are the packages of which one would make clause i hold, when nothing else does yet; nil otherwise.
func (s *search) candidates(i int) []int32 {
	s.open = s.open[:0]
	for _, l := range s.clauses[i].lits {
		if l < 0 {
			if s.value[-l] <= 0 {
				return nil
			}
			continue
		}
		switch v := s.value[l]; {
		case v > 0:
			return nil
		case v == 0:
			s.open = append(s.open, l)
		}
	}
	return s.open
}

// decideRequest takes a package for each thing asked for. It returns the new level, below the one it was called with
// when that had to be gone back behind, or -1.
func (s *search) decideRequest(level int32) int32 {
	start := level
	for i := s.requests[0]; i < s.requests[1]; i++ {
		ids := s.candidates(i)
		if len(ids) == 0 {
			continue
		}
		before := level
		level = s.choose(level, ids, int32(i), "")
		switch {
		case level < start:
			return level
		case level < before:
			i = s.requests[0] - 1
		case level == before:
			i--
		}
	}
	return level
}

// decideOpen goes round the clauses until none is open. Those for which several sensible candidates are left wait
// until there is nothing else to do.
func (s *search) decideOpen(level int32) int32 {
	start := level
	first, final := 0, false
	for i, n := 1, 1; ; i, n = i+1, n+1 {
		if n >= len(s.clauses) {
			if final || first == 0 {
				return level
			}
			i, n, final = first, 1, true
		}
		if i >= len(s.clauses) {
			i = 1
		}
		ids := s.candidates(i)
		if len(ids) < 2 {
			continue
		}
		note := ""
		if !final && s.policy != nil {
			if ids, note = s.policy.prune(ids); len(ids) > 1 {
				if first == 0 {
					first = i
				}
				continue
			}
		}
		if level = s.choose(level, ids, int32(i), note); level < start {
			return level
		}
		n = 0
	}
}

// choose decides for the best of ids, for which clause i is open; pruned says why others have been left out already.
func (s *search) choose(level int32, ids []int32, i int32, pruned string) int32 {
	if s.policy == nil {
		return s.settleFor(level, ids[0], i)
	}
	best, note := s.policy.order(ids)
	if len(best) > 1 {
		candidates := slices.Clone(best)
		candidates[0] = -candidates[0]
		s.branches = append(s.branches, branch{candidates: candidates, clause: i, level: level})
	}
	s.notes[best[0]] = cmp.Or(pruned, note)
	return s.settleFor(level, best[0], i)
}

// minimize looks for a choice of which another candidate was installed later for other reasons, or is recommended,
// and makes it again.
func (s *search) minimize() (level int32, found bool) {
	var branch, candidate int
	for b := len(s.branches) - 1; b >= 0; b-- {
		if c, ok := s.better(&s.branches[b]); ok {
			branch, candidate, found = b, c, true
		}
	}
	if !found {
		return 0, false
	}
	b := &s.branches[branch]
	id := b.candidates[candidate]
	b.candidates[candidate] = -id
	s.branches = s.branches[:branch+1]
	s.undo(b.level)
	s.notes[id] = noteShared
	return s.settleFor(b.level, id, b.clause), true
}

func (s *search) better(b *branch) (int, bool) {
	recommended := -1
	for i, id := range b.candidates {
		switch {
		case id <= 0:
		case s.value[id] > b.level:
			return i, true
		case recommended < 0 && s.policy.recommended(id):
			recommended = i
		}
	}
	if recommended < 0 {
		return 0, false
	}
	for _, id := range b.candidates {
		if id < 0 && s.value[-id] == b.level+1 && !s.policy.recommended(-id) &&
			s.policy.favour(-id) <= s.policy.favour(b.candidates[recommended]) {
			return recommended, true
		}
	}
	return 0, false
}
