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
//
// # The shared cache
//
// A SharedCache is in a registry, behind the cache directory of each worker. What it holds follows from what a new worker
// needs, which has nothing:
//
//	an image as it was built        the record of the image: what its layers are, and of which packed segments
//	one with a changed package      the headers of the other packages, what scriptlets read of their files, the
//	                                records of layers; of segments those in layers that are not in the target yet
//	packages without a lock         the catalogs of the repository, in place of its primary.xml
//
// Packages are not in it: they are at their repository, bigger than what is packed of them, and read only by who packs
// them first. So an unchanged image costs the manifest of the cache, its index, one blob of records, and the question
// whether the target has the image; a changed package costs that package and what shares a layer with it.
//
// It is one OCI manifest (artifactType application/vnd.slim.cache.v1). Its config is the index: which entries of a cache
// directory, by kind and key, are in which blob, one after the other. Its layers are the blobs. An entry of 256 KiB or more
// is a blob; smaller ones that are asked for together (records, packages, segments) share blobs of at most 8 MiB, because
// registries take a limited number of layers, and requests cost more than bytes. Packed with zstd is all but segments. Who
// writes adds blobs and an index of them and of all that stood there, what was used first; beyond 5 GiB or 2000 blobs the
// last are left out. The tag goes to the new manifest at once, and a reader goes on with the one it has.
package builder
