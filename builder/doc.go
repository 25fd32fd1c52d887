// Package builder makes container images from recipes: it reads a recipe, decides on the packages, fetches and verifies
// them, assembles their files into a root, and writes that as an OCI image. Other programs may use it as slim does.
//
// # Recipes
//
// A recipe is one YAML 1.2 document of at most 1 MiB. Unknown keys, keys given twice, keys without a value, values of
// another type, tags, merge keys and tabs are faults; so that nothing is found only at the second try, ReadRecipe
// reports all of them at once. A number that is a name, such as releasever: 9.10, is taken as it is written. Aliases
// are expanded, within limits.
//
// A recipe may extend one other, up to 16 deep. What becomes of each key then:
//
//	name, push                     the recipe's own, never taken over
//	repository                     the parent's; it may be repeated, not changed
//	packages                       the parent's, then the recipe's; one that both name is for the platforms of both
//	exclude, prefer                the parent's, then the recipe's
//	platforms, dependencies        the recipe's replaces the parent's
//	scriptlets                     by package, and for a package by scriptlet
//	strip                          docs and locales replace, paths and keep are joined; true and false replace it whole
//	accounts, files                joined; one of the same name or path takes the place of the parent's
//	image.entrypoint, .cmd         replaced; a recipe that says entrypoint does not take over the parent's cmd
//	image.user, .workdir,          replaced
//	  .stopsignal
//	image.env, .labels,            by name
//	  .annotations
//	image.ports, .volumes          joined
//	layers                         key by key
//
// Relative paths start at the directory of the recipe that says them.
package builder
