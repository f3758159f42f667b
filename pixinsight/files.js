// Files and folders; ASCII text only.

function folderOf(path) {
   return path.slice(0, path.lastIndexOf("/"));
}

function makeFolder(path) {
   if (!File.directoryExists(path))
      File.createDirectory(path, true);
}

function removeFile(path) {
   if (File.exists(path))
      File.remove(path);
}

// Replace a file by another. This takes two steps: File.move does not overwrite files.
function replaceFile(path, by) {
   removeFile(path);
   File.move(by, path);
}

// The size of a file in bytes; null if this version of PixInsight does not tell it.
function fileSize(path) {
   try {
      var size = Number(new FileInfo(path).size);
      return size > 0 ? size : null;
   } catch (error) {
      return null;
   }
}

// In V8 some numbers of PixInsight are BigInt, for which JSON.stringify throws an error.
function asciiJson(value, indent) {
   var text = JSON.stringify(value, function (name, item) {
      return typeof item === "bigint" ? Number(item) : item;
   }, indent);
   return text.replace(/[\u007f-\uffff]/g, function (character) {
      return "\\u" + ("0000" + character.charCodeAt(0).toString(16)).slice(-4);
   });
}

// Write a file so that a reader never finds a part of it.
function writeWhole(path, text) {
   File.writeTextFile(path + ".tmp", text + "\n");
   replaceFile(path, path + ".tmp");
}
