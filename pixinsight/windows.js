// Image windows: find them by id, and close them also after errors.

function findWindow(id) {
   var imageWindow = ImageWindow.windowById(id);
   if (isMissing(imageWindow))
      throw new Error("there is no image window '" + id + "'");
   return imageWindow;
}

// For an unknown id, the old engine returns an object that is null; V8 may return null.
function isMissing(imageWindow) {
   return imageWindow === null || imageWindow === undefined || imageWindow.isNull;
}

function openWindowIds() {
   return (ImageWindow.windows || []).map(function (open) { return open.mainView.id; });
}

// Close the named windows (hidden ones may not be listed) and all that were not open before.
function closeWindows(ids, idsBefore) {
   ids.concat(openWindowIds()).forEach(function (id) {
      var open = ImageWindow.windowById(id);
      if (idsBefore.indexOf(id) < 0 && !isMissing(open))
         open.forceClose();
   });
}
