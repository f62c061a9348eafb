"""Where something moves in a video, scene by scene. Written for OpenCV 4 and NumPy 2: cv2.findContours
answers two things, and numpy.bitwise_count exists."""
import numpy
from pyspark import SparkContext

import scenes


def moving(frame):
    import cv2
    assert cv2.__version__.startswith("4."), cv2.__version__
    changed = cv2.absdiff(scenes.frame(frame), scenes.background())
    assert numpy.bitwise_count(numpy.uint8(7)) == 3
    contours, _ = cv2.findContours((changed > 0).astype(numpy.uint8), cv2.RETR_EXTERNAL,
                                   cv2.CHAIN_APPROX_SIMPLE)
    return frame, sorted(cv2.boundingRect(contour)[:2] for contour in contours)


if __name__ == "__main__":
    context = SparkContext(appName="synopsis")
    for frame, places in sorted(context.parallelize(range(300), 8).map(moving).collect()):
        assert places == scenes.things_in(frame), (frame, places, scenes.things_in(frame))
    print("followed everything that moves through 300 frames")
    context.stop()
