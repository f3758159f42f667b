// Files and folders; ASCII text only.

function folderOf(path) {
   return path.slice(0, path.lastIndexOf("/"));
}

function makeFolder(path) {
   if (!File.directoryExists(path))
      File.createDirectory(path, true);
}

function removeFile(path) {
   whenFree(function () {
      if (File.exists(path))
         File.remove(path);
   });
}

function moveFile(path, to) {
   whenFree(function () { File.move(path, to); });
}

// Replace a file by another. This takes two steps: File.move does not overwrite files.
function replaceFile(path, by) {
   removeFile(path);
   moveFile(by, path);
}

// Do something with a file. Windows refuses to remove or move one that is open elsewhere, such as a
// report that the runner reads at this moment, or a new file that a virus scanner looks at.
function whenFree(action) {
   for (var attempts = 0; ; ++attempts) {
      try {
         return action();
      } catch (error) {
         if (attempts === 100)
            throw error;
         sleep(50);
      }
   }
}

// Sleep, and let PixInsight process window events. Both are global functions in the old engine and
// methods of objects in V8, where the global functions are deprecated.
function sleep(milliseconds) {
   if (typeof CoreApplication.processEvents === "function") {
      System.msleep(milliseconds);
      CoreApplication.processEvents();
   } else {
      msleep(milliseconds);
      processEvents();
   }
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
