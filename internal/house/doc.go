// Package house holds no code, only the tests that keep the rooms of the project apart: who may import whom, what the
// pure rooms may not touch, and that every package says what it is for.
package house
